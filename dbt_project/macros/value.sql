{#
    The value of a customer from now on, in one place: for the 360 view of today and for the snapshots that models learn from.
    docs/value.md explains it with an example.
#}


{# Whether contracts alone decide who is a customer: orders are their bills, or there are none. #}
{% macro contracts_decide() -%}
    {{ return(is_connected('subscriptions') and (policy('clv', 'orders_are_bills') or not is_connected('orders'))) }}
{%- endmacro %}


{# Days after the end of their activity from which on a customer is lost: the stage of the churned begins. #}
{% macro days_until_lost() -%}
    {{ return([policy('lifecycle', 'dormant_days') - policy('lifecycle', 'active_days'), 1] | max) }}
{%- endmacro %}


{# The first day of the company's history. #}
{% macro history_start() -%}
    cast('{{ var("history_starts") }}' as date)
{%- endmacro %}


{# Days of the last year on which a customer's orders could be seen: since they are known and the history starts. #}
{% macro days_observed(tenure_days, day) -%}
    least(365, coalesce({{ tenure_days }}, 0), greatest(0, {{ days_between(history_start(), day) }}))
{%- endmacro %}


{#
    A year's orders of a modest customer: a quarter of those with a history order less. Newcomers are likelier to become
    one of them than to become the customer in the middle, who is one of those who stayed.
#}
{% macro modest_pace(amount_spent) -%}
    percentile_cont(0.25) within group (order by 365 * cast({{ amount_spent }} as double) / observed_days)
{%- endmacro %}


{#
    The company's revenue of a year at a customer's own pace of orders. What is not seen of the year draws it to the
    modest customer's: up to the policy's prior days of those count as if observed (credibility, after Buehlmann, ASTIN
    Bulletin 1967).
#}
{% macro yearly_orders(amount_spent, observed_days, modest) -%}
    {%- set prior_days = policy('clv', 'prior_days') ~ ' * (1 - ' ~ observed_days ~ ' / 365.0)' -%}
    {{ policy('clv', 'revenue_share') }} * (
            365 * cast({{ amount_spent }} as double) + {{ prior_days }} * coalesce({{ modest }}, 0)
        ) / ({{ observed_days }} + {{ prior_days }})
{%- endmacro %}


{# The revenue of a year at the pace of some days, of no fewer than `least_days`. #}
{% macro yearly_rate(amount_spent, days, least_days) -%}
    {{ policy('clv', 'revenue_share') }} * 365 * cast({{ amount_spent }} as double) / greatest({{ days }}, {{ least_days }})
{%- endmacro %}


{# Days on which a customer of the past was one: from the first order until the last had lapsed. #}
{% macro days_ordering(customer) -%}
    {{ days_between(customer ~ '.first_order_date', customer ~ '.last_order_date') }} + {{ policy('lifecycle', 'active_days') }}
{%- endmacro %}


{# Of the years that the policy plans with, those that a customer is still there who leaves at a constant rate. #}
{% macro years_expected(measured_years) -%}
    {{ measured_years }} * (1 - exp(-{{ policy('clv', 'lifetime_years') }} / {{ measured_years }}))
{%- endmacro %}


{# The margin of a year after the cost of serving, from the tickets of half a year. #}
{% macro yearly_margin(yearly_revenue, tickets_half_year) -%}
    {{ policy('clv', 'gross_margin') }} * {{ yearly_revenue }}
    - {{ policy('clv', 'cost_per_ticket') }} * coalesce({{ tickets_half_year }}, 0) * 365 / 180.0
{%- endmacro %}


{# The least value of each tier: the policy gives shares of customers, from the top. #}
{% macro tier_cut_points() -%}
    {%- set reached = namespace(share=0) -%}
    {%- for tier, share in var('policy').value_tiers.items() -%}
    {%- set reached.share = reached.share + share -%}
    percentile_disc({{ reached.share | round(6) }}) within group (order by coalesce(value_from_now, 0) desc) as least_{{ tier }}{{ ',\n        ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}


{# Value tier by the value from now, the best first. #}
{% macro value_tier() -%}
    case
            {%- for tier in var('policy').value_tiers %}
            when value_from_now > 0 and value_from_now >= least_{{ tier }} then '{{ tier }}'
            {%- endfor %}
            else 'normal'
        end
{%- endmacro %}


{# Where the value goes: the spend of a quarter against the quarter before, by the policy's share of change. #}
{% macro value_trend() -%}
    {%- set share = policy('value_trend', 'change') -%}
    case
            when amount_spent_quarter > 0 and amount_spent_quarter_before = 0 then 'rising'
            when amount_spent_quarter > (1 + {{ share }}) * amount_spent_quarter_before then 'rising'
            when amount_spent_quarter < (1 - {{ share }}) * amount_spent_quarter_before then 'falling'
            else 'steady'
        end
{%- endmacro %}


{# What makes the value: contracts, or whichever of orders and basket stands higher above the typical buyer's. #}
{% macro value_driver() -%}
    case
            when coalesce(yearly_contracts, 0) > coalesce(yearly_purchases, 0) then 'contracts'
            when orders_to_typical is null then 'none'
            when orders_to_typical >= basket_to_typical then 'orders'
            else 'basket'
        end
{%- endmacro %}
