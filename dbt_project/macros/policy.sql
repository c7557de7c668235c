{# One value of the policy, by section and key; a policy that lacks it stops the run. #}
{% macro policy(section, key) -%}
    {%- set found = (var('policy') or {}).get(section, {}) -%}
    {%- if key not in found -%}
        {{ exceptions.raise_compiler_error(
            "The policy has no " ~ section ~ "." ~ key ~ ". Add it to the policy that is passed as the dbt var `policy`, "
            "or leave the var out to run with the values of dbt_project.yml."
        ) }}
    {%- endif -%}
    {{ return(found[key]) }}
{%- endmacro %}


{# One value of the churn definition. #}
{% macro churn(key) -%}
    {%- set definition = var('churn') -%}
    {%- if key == 'definition' and definition[key] not in ('inactivity', 'contract_end') -%}
        {{ exceptions.raise_compiler_error(
            "The churn definition `" ~ definition[key] ~ "` is unknown. Set churn.definition in company.yaml to inactivity "
            "(no purchase within the horizon) or contract_end (no running contract at its end)."
        ) }}
    {%- endif -%}
    {{ return(definition[key]) }}
{%- endmacro %}
