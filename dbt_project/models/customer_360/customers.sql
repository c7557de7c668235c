with

customers as (

    select
        stg_customers.*,
        int_customers_dated.known_date
    from {{ ref('stg_customers') }} as stg_customers
    inner join {{ ref('int_customers_dated') }} as int_customers_dated
        on stg_customers.customer_id = int_customers_dated.customer_id
    where int_customers_dated.known_date is null or int_customers_dated.known_date < {{ as_of() }}

),

purchases as (

    select
        customer_id,
        min(order_date) as first_order_date,
        max(order_date) as last_order_date,
        {{ days_between('max(order_date)', as_of()) }} as recency_days,
        cast(sum(count_orders) as bigint) as count_orders_total,
        cast(coalesce(sum(count_orders) filter (where order_date >= {{ days_before(as_of(), 90) }}), 0) as bigint)
            as count_orders_quarter,
        cast(coalesce(sum(count_orders) filter (where order_date >= {{ days_before(as_of(), 365) }}), 0) as bigint)
            as count_orders_year,
        sum(amount_spent) as amount_spent_total,
        coalesce(sum(amount_spent) filter (where order_date >= {{ days_before(as_of(), 90) }}), 0)
            as amount_spent_quarter,
        coalesce(
            sum(amount_spent) filter (
                where order_date >= {{ days_before(as_of(), 180) }} and order_date < {{ days_before(as_of(), 90) }}
            ), 0
        ) as amount_spent_quarter_before,
        coalesce(sum(amount_spent) filter (where order_date >= {{ days_before(as_of(), 365) }}), 0)
            as amount_spent_year,
        coalesce(sum(amount_discount) filter (where order_date >= {{ days_before(as_of(), 365) }}), 0)
            as amount_discount_year,
        coalesce(
            sum(count_orders) filter (
                where order_date >= {{ days_before(as_of(), policy('rfm', 'frequency_days')) }}
            ), 0
        ) as count_orders_scored,
        coalesce(
            sum(amount_spent) filter (where order_date >= {{ days_before(as_of(), policy('clv', 'spend_days')) }}), 0
        ) as amount_spent_valued
    from {{ ref('int_customer_order_days') }}
    where
        order_date < {{ as_of() }}
        and customer_id in (select customers.customer_id from customers)
    group by customer_id

),

contracts as (

    select
        customer_id,
        count(*) as count_subscriptions,
        sum(amount_monthly) as amount_monthly
    from {{ ref('int_subscriptions_dated') }}
    where
        started_date < {{ as_of() }}
        and (ended_date is null or ended_date >= {{ as_of() }})
    group by customer_id

),

-- the marks that divide the buyers into fifths, and what the middle buyer of the year does
marks as (

    select
        {{ quintile_cut_points('recency', '-recency_days') }},
        {{ quintile_cut_points('frequency', 'count_orders_scored') }},
        {{ quintile_cut_points('monetary', 'amount_spent_total') }},
        median(count_orders_year) filter (where count_orders_year > 0) as typical_orders,
        median(amount_spent_year / count_orders_year) filter (where count_orders_year > 0) as typical_basket
    from purchases

),

-- ties share a score
scored as (

    select
        purchases.*,
        {{ quintile('recency', '-purchases.recency_days') }} as rfm_recency,
        {{ quintile('frequency', 'purchases.count_orders_scored') }} as rfm_frequency,
        {{ quintile('monetary', 'purchases.amount_spent_total') }} as rfm_monetary,
        percent_rank() over (order by purchases.amount_spent_total / purchases.count_orders_total) as basket_rank,
        purchases.count_orders_year / nullif(marks.typical_orders, 0) as orders_to_typical,
        purchases.amount_spent_year / nullif(purchases.count_orders_year, 0)
        / nullif(marks.typical_basket, 0) as basket_to_typical
    from purchases
    cross join marks

),

measured as (

    select
        customers.customer_id,
        customers.kind,
        customers.level,
        customers.city,
        customers.region,
        customers.age_band,
        customers.income_band,
        customers.household,
        customers.acquisition_channel,
        customers.owner,
        customers.known_date,
        purchases.first_order_date,
        purchases.last_order_date,
        cast(purchases.recency_days as bigint) as recency_days,
        cast({{ days_between('customers.known_date', as_of()) }} as bigint) as tenure_days,
        coalesce(purchases.recency_days <= {{ policy('rfm', 'recent_days') }}, false) as has_bought_recently,
        coalesce(purchases.recency_days <= {{ policy('rfm', 'window_days') }}, false) as has_bought_in_window,
        coalesce(purchases.count_orders_quarter, 0) as count_orders_quarter,
        coalesce(purchases.count_orders_year, 0) as count_orders_year,
        coalesce(purchases.count_orders_total, 0) as count_orders_total,
        coalesce(purchases.amount_spent_quarter, 0) as amount_spent_quarter,
        coalesce(purchases.amount_spent_quarter_before, 0) as amount_spent_quarter_before,
        purchases.orders_to_typical,
        purchases.basket_to_typical,
        coalesce(purchases.amount_spent_year, 0) as amount_spent_year,
        coalesce(purchases.amount_spent_total, 0) as amount_spent_total,
        coalesce(purchases.amount_discount_year, 0) as amount_discount_year,
        coalesce(purchases.amount_spent_valued, 0) as amount_spent_valued,
        coalesce(contracts.count_subscriptions, 0) as count_subscriptions,
        coalesce(contracts.amount_monthly, 0) as amount_monthly,
        cast(coalesce(purchases.rfm_recency, 1) as bigint) as rfm_recency,
        cast(coalesce(purchases.rfm_frequency, 1) as bigint) as rfm_frequency,
        cast(coalesce(purchases.rfm_monetary, 1) as bigint) as rfm_monetary,
        coalesce(purchases.basket_rank, 0) as basket_rank,
        coalesce(customers.acquisition_cost, {{ policy('clv', 'default_acquisition_cost') }}) as acquisition_cost
    from customers
    left join scored as purchases on customers.customer_id = purchases.customer_id
    left join contracts on customers.customer_id = contracts.customer_id

),

-- the spend of a shorter history is scaled up to a year, but never from less than the policy's least
valued as (

    select
        *,
        cast(amount_spent_valued as double) * 365
        / least(
            {{ policy('clv', 'spend_days') }},
            greatest(coalesce(tenure_days, 0), {{ policy('clv', 'minimum_days_observed') }})
        ) as yearly_purchases,
        12 * cast(amount_monthly as double) as yearly_contracts
    from measured

),

forecast as (

    select
        *,
        {{ 'yearly_purchases' if is_connected('orders') else 'yearly_contracts' }} as clv_yearly_spend
    from valued

),

priced as (

    select
        *,
        clv_yearly_spend * {{ policy('clv', 'lifetime_years') }} * {{ policy('clv', 'gross_margin') }}
            as value_from_now,
        value_from_now - cast(acquisition_cost as double) as clv,
        {{ rfm_score() }} as rfm_score
    from forecast

),

-- from which lifetime value on a tier begins
tiers as (

    select
        {{ tier_cut_points() }}
    from priced

),

placed as (

    select
        priced.*,
        tiers.*
    from priced
    cross join tiers

),

graded as (

    select
        customer_id,
        kind,
        level,
        city,
        region,
        age_band,
        income_band,
        household,
        acquisition_channel,
        owner,
        known_date,
        first_order_date,
        last_order_date,
        recency_days,
        tenure_days,
        has_bought_recently,
        has_bought_in_window,
        count_orders_quarter,
        count_orders_year,
        count_orders_total,
        cast(amount_spent_quarter as double) as amount_spent_quarter,
        cast(amount_spent_quarter_before as double) as amount_spent_quarter_before,
        cast(amount_spent_year as double) as amount_spent_year,
        cast(amount_spent_total as double) as amount_spent_total,
        cast(amount_discount_year as double) as amount_discount_year,
        cast(amount_discount_year / nullif(amount_spent_year + amount_discount_year, 0) as double)
            as share_discount_year,
        count_subscriptions,
        cast(amount_monthly as double) as amount_monthly,
        rfm_recency,
        rfm_frequency,
        rfm_monetary,
        basket_rank,
        rfm_score,
        {{ rfm_grade() }} as rfm_grade,
        clv_yearly_spend,
        cast(acquisition_cost as double) as acquisition_cost,
        clv,
        value_from_now,
        case when value_from_now > acquisition_cost then 'serve_first' else 'cut_service_cost' end as clv_verdict,
        {{ lifecycle_stage() }} as lifecycle_stage,
        {{ value_tier() }} as value_tier,
        {{ value_trend() }} as value_trend,
        cast(orders_to_typical as double) as orders_to_typical,
        cast(basket_to_typical as double) as basket_to_typical,
        {{ value_driver() }} as value_driver
    from placed

),

tagged as (

    select
        {{ as_of() }} as as_of,
        *,
        {{ tags() }} as tags
    from graded

)

select * from tagged
