{{ config(
    materialized='incremental',
    incremental_strategy=snapshot_strategy(),
    unique_key='as_of',
    on_schema_change='fail'
) }}
with

snapshots as (

    {{ snapshots() }}

),

months as (

    select distinct cast(date_trunc('month', as_of) as date) as as_of
    from snapshots

),

-- once for every month of a snapshot, from the year of purchases before its first day; anew while late rows may come
wanted as (

    select as_of
    from months
    where
        {{ not_yet_in('customer_360', 'product_rules') }}
        or as_of >= {{ days_before(as_of(), cleaning('late_days')) }}

),

-- customers by an order that means nothing: so many of them tell the rules as well as all do
ordered_customers as (

    select
        wanted.as_of,
        customers.customer_id,
        row_number() over (
            partition by wanted.as_of order by md5(customers.customer_id), customers.customer_id
        ) as place
    from wanted
    cross join {{ ref('int_customers_dated') }} as customers
    where customers.known_date < wanted.as_of

),

chosen as (

    select
        as_of,
        customer_id
    from ordered_customers
    where place <= {{ policy('product_rules', 'most_customers') }}

),

baskets as (

    select
        chosen.as_of,
        bought.customer_id,
        bought.order_date,
        bought.category
    from {{ ref('int_customer_category_days') }} as bought
    inner join chosen
        on
            bought.customer_id = chosen.customer_id
            and bought.order_date < chosen.as_of
            and bought.order_date >= {{ days_before('chosen.as_of', 365) }}

),

distinct_baskets as (

    select distinct
        as_of,
        customer_id,
        order_date
    from baskets

),

sizes as (

    select
        as_of,
        count(*) as count_baskets
    from distinct_baskets
    group by as_of

),

-- a category that few baskets hold makes no rule, and is left out before pairs are made
frequent as (

    select
        baskets.as_of,
        baskets.category,
        count(*) as count_baskets
    from baskets
    inner join sizes on baskets.as_of = sizes.as_of
    group by baskets.as_of, baskets.category, sizes.count_baskets
    having count(*) >= {{ policy('product_rules', 'minimum_support') }} * sizes.count_baskets

),

kept as (

    select baskets.*
    from baskets
    inner join frequent
        on
            baskets.as_of = frequent.as_of
            and baskets.category = frequent.category

),

couples as (

    select
        bought.as_of,
        bought.category as one_category,
        bought_too.category as other_category,
        count(*) as count_together
    from kept as bought
    inner join kept as bought_too
        on
            bought.as_of = bought_too.as_of
            and bought.customer_id = bought_too.customer_id
            and bought.order_date = bought_too.order_date
            and bought.category < bought_too.category
    group by bought.as_of, bought.category, bought_too.category

),

pairs as (

    select
        as_of,
        one_category as bought_category,
        other_category as suggested_category,
        count_together
    from couples
    union all
    select
        as_of,
        other_category as bought_category,
        one_category as suggested_category,
        count_together
    from couples

),

measured as (

    select
        pairs.as_of,
        pairs.bought_category,
        pairs.suggested_category,
        pairs.count_together,
        cast(pairs.count_together as double) / sizes.count_baskets as rule_support,
        cast(pairs.count_together as double) / bought.count_baskets as confidence,
        cast(pairs.count_together as double) * sizes.count_baskets / bought.count_baskets / suggested.count_baskets
            as lift
    from pairs
    inner join sizes on pairs.as_of = sizes.as_of
    inner join frequent as bought
        on
            pairs.as_of = bought.as_of
            and pairs.bought_category = bought.category
    inner join frequent as suggested
        on
            pairs.as_of = suggested.as_of
            and pairs.suggested_category = suggested.category

),

rules as (

    select *
    from measured
    where
        rule_support >= {{ policy('product_rules', 'minimum_support') }}
        and confidence >= {{ policy('product_rules', 'minimum_confidence') }}
        and lift >= {{ policy('product_rules', 'minimum_lift') }}

)

select * from rules
