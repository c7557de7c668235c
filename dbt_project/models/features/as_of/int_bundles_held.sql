with

snapshots as (

    {{ snapshots() }}

),

rules as (

    select
        *,
        row_number() over (
            partition by as_of, bought_category order by lift desc, suggested_category asc
        ) as place
    from {{ ref('product_rules') }}

),

-- the rules of a snapshot were learned before the first day of its month
strongest as (

    select
        snapshots.as_of,
        rules.bought_category,
        rules.suggested_category
    from snapshots
    inner join rules on rules.as_of = cast(date_trunc('month', snapshots.as_of) as date)
    where rules.place = 1

),

told_of as (

    select
        as_of,
        bought_category as category
    from strongest
    union
    select
        as_of,
        suggested_category as category
    from strongest

),

days as (

    select * from {{ ref('int_customer_category_days') }}

),

bought as (

    select
        told_of.as_of,
        days.customer_id,
        days.category,
        {{ days_between('max(days.order_date)', 'told_of.as_of') }} as age_last
    from days
    inner join told_of
        on
            days.category = told_of.category
            and days.order_date < told_of.as_of
            and days.order_date >= {{ days_before('told_of.as_of', 180) }}
    group by told_of.as_of, days.customer_id, days.category

),

held as (

    select
        bought.as_of,
        bought.customer_id,
        strongest.bought_category,
        strongest.suggested_category,
        bought.age_last as age_bought,
        suggested.age_last as age_suggested
    from bought
    inner join strongest
        on
            bought.as_of = strongest.as_of
            and bought.category = strongest.bought_category
    left join bought as suggested
        on
            strongest.as_of = suggested.as_of
            and strongest.suggested_category = suggested.category
            and bought.customer_id = suggested.customer_id

)

select * from held
