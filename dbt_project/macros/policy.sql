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
    {%- if definition.definition not in ('inactivity', 'contract_end', 'spend_fall', 'account_closed') -%}
        {{ exceptions.raise_compiler_error(
            "The churn definition `" ~ definition.definition ~ "` is unknown. Set churn.definition in company.yaml to "
            "inactivity, contract_end, spend_fall or account_closed."
        ) }}
    {%- endif -%}
    {{ return(definition[key]) }}
{%- endmacro %}
