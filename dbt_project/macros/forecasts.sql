{# The spans over which value is forecast: their months, and the days that each of them has. #}
{% macro forecast_spans() -%}
    {{ return({3: 91, 6: 182, 12: 365}) }}
{%- endmacro %}


{# Days of a contract within so many days from a day on, of the relations `subscriptions` and `days`. #}
{% macro contract_days(span) -%}
    {%- set last = add_days('days.as_of', span) -%}
    greatest(
            0,
            {{ days_between(
                'greatest(subscriptions.started_date, days.as_of)',
                'least(coalesce(subscriptions.ended_date, ' ~ last ~ '), ' ~ last ~ ')'
            ) }}
        )
{%- endmacro %}
