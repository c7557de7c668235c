-- noqa: disable=LT02
-- the loops below write commas before their columns
{%- set longest = forecast_spans().values() | max %}
with

snapshots as (

    select * from {{ ref('customer_features') }}

),

days as (

    select distinct as_of from snapshots

),

knowledge as (

    {{ revenue_known_until() }}

),

-- a window with a day missing in a feed is never known
spoilt as (

    select
        days.as_of,
        min(pauses.paused_from) as spoilt_from
    from days
    inner join {{ ref('feed_pauses') }} as pauses
        on
            pauses.is_missing
            and pauses.source_table in ('orders', 'subscriptions')
            and days.as_of < pauses.paused_until
    group by days.as_of

),

known as (

    select
        days.as_of,
        least(knowledge.known_until, coalesce(spoilt.spoilt_from, knowledge.known_until)) as known_until
    from days
    cross join knowledge
    left join spoilt on days.as_of = spoilt.as_of

),

bought as (

    select
        days.as_of,
        order_days.customer_id,
        min(order_days.order_date) as next_order_date
        {%- for months, span in forecast_spans().items() %},
        coalesce(sum(order_days.count_orders) filter (
            where order_days.order_date < {{ add_days('days.as_of', span) }}
        ), 0) as count_orders_{{ months }}m,
        coalesce(sum(order_days.amount_spent) filter (
            where order_days.order_date < {{ add_days('days.as_of', span) }}
        ), 0) as amount_orders_{{ months }}m
        {%- endfor %}
    from days
    inner join {{ ref('int_customer_order_days') }} as order_days
        on
            days.as_of <= order_days.order_date
            and order_days.order_date < {{ add_days('days.as_of', longest) }}
    group by days.as_of, order_days.customer_id

),

-- fees of all contracts that run in a span, one begun in it as well
paid as (

    select
        days.as_of,
        subscriptions.customer_id
        {%- for months, span in forecast_spans().items() %},
        sum(subscriptions.amount_monthly * 12 / 365.0 * {{ contract_days(span) }}) as amount_fees_{{ months }}m
        {%- endfor %}
    from days
    inner join {{ ref('int_subscriptions_dated') }} as subscriptions
        on
            subscriptions.started_date < {{ add_days('days.as_of', longest) }}
            and (subscriptions.ended_date is null or days.as_of < subscriptions.ended_date)
    group by days.as_of, subscriptions.customer_id

),

-- the present pace of a year, and whether orders are revenue: where they are bills, the fee says it
paced as (

    select
        as_of,
        customer_id,
        coalesce(count_orders_365d, 0) as count_orders,
        coalesce(amount_spent_365d, 0) as amount_spent,
        12 * coalesce(amount_contracts_monthly, 0) as yearly_fees,
        365.0 / greatest({{ days_observed('tenure_days', 'as_of') }}, 1) as times_a_year,
        {{ policy('clv', 'revenue_share') }}
        {%- if policy('clv', 'orders_are_bills') %}
        * case when coalesce(count_contracts_ever, 0) = 0 then 1 else 0 end
        {%- endif %} as share_of_orders
    from snapshots

),

windows as (

    select
        snapshots.*,
        cast(paced.count_orders * paced.times_a_year as double) as yearly_orders,
        cast(paced.amount_spent * paced.times_a_year * paced.share_of_orders as double) as yearly_purchases,
        cast(paced.yearly_fees as double) as yearly_fees,
        case when bought.next_order_date < known.known_until then bought.next_order_date end as next_order_date,
        known.known_until
        {%- for months, span in forecast_spans().items() %},
        {{ add_days('snapshots.as_of', span) }} as until_{{ months }}m,
        case
            when {{ add_days('snapshots.as_of', span) }} <= known.known_until
                then cast(coalesce(bought.count_orders_{{ months }}m, 0) as double)
        end as orders_{{ months }}m,
        case
            when {{ add_days('snapshots.as_of', span) }} <= known.known_until
                then cast(
                    paced.share_of_orders * coalesce(bought.amount_orders_{{ months }}m, 0)
                    + coalesce(paid.amount_fees_{{ months }}m, 0) as double
                )
        end as revenue_{{ months }}m
        {%- endfor %}
    from snapshots
    inner join paced
        on
            snapshots.as_of = paced.as_of
            and snapshots.customer_id = paced.customer_id
    inner join known on snapshots.as_of = known.as_of
    left join bought
        on
            snapshots.as_of = bought.as_of
            and snapshots.customer_id = bought.customer_id
    left join paid
        on
            snapshots.as_of = paid.as_of
            and snapshots.customer_id = paid.customer_id

)

select * from windows
