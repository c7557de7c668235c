{# One value of the policy, by section and key; a policy that lacks it stops the run. #}
{% macro policy(section, key) -%}
    {%- set found = var('policy', {}).get(section, {}) -%}
    {%- if key not in found -%}
        {{ exceptions.raise_compiler_error(
            "The policy has no " ~ section ~ "." ~ key ~ ". Add it to the sections that dbt_project/variables.py passes; "
            "call dbt as `holdfast dbt -- ...`, which does."
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
