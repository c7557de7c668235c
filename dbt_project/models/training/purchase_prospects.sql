with

present as (

    select
        as_of,
        customer_id,
        recency_days,
        median_gap_days
    from {{ ref('customer_features') }}
    where as_of = {{ as_of() }}

),

bought as (

    select
        category_days.customer_id,
        category_days.category,
        count(*) as count_days,
        max(category_days.order_date) as last_date,
        sum(category_days.amount_spent) as amount_spent
    from {{ ref('int_customer_category_days') }} as category_days
    where
        category_days.order_date < {{ as_of() }}
        and category_days.order_date >= {{ days_before(as_of(), 365) }}
        and category_days.customer_id in (select present.customer_id from present)
    group by category_days.customer_id, category_days.category

),

-- what a buyer of the category spends on it in a year
spent as (

    select
        category,
        {{ policy('clv', 'revenue_share') }} * avg(amount_spent) as amount_yearly
    from bought
    group by category

),

usual as (

    select
        customer_id,
        category
    from bought
    qualify row_number() over (partition by customer_id order by count_days desc, last_date desc, category asc) = 1

),

rules as (

    select
        rules.bought_category,
        rules.suggested_category,
        rules.confidence,
        rules.confidence * spent.amount_yearly as amount_potential
    from {{ ref('product_rules') }} as rules
    inner join spent on rules.suggested_category = spent.category
    where rules.as_of = cast({{ dbt.date_trunc('month', as_of()) }} as date)

),

-- what is bought along with what the customer buys, and is not among it; of several rules the surest
lacking as (

    select
        bought.customer_id,
        rules.suggested_category,
        rules.bought_category,
        rules.amount_potential
    from bought
    inner join rules on bought.category = rules.bought_category
    left join bought as held
        on
            bought.customer_id = held.customer_id
            and rules.suggested_category = held.category
    where held.customer_id is null
    qualify row_number() over (
        partition by bought.customer_id, rules.suggested_category
        order by rules.confidence desc, rules.bought_category asc
    ) = 1

),

ranked as (

    select
        *,
        row_number() over (
            partition by customer_id order by amount_potential desc, suggested_category asc
        ) as place
    from lacking

),

suggested as (

    select
        customer_id,
        max(suggested_category) filter (where place = 1) as suggested_category,
        max(bought_category) filter (where place = 1) as because_category,
        cast(sum(amount_potential) filter (where place <= 3) as double) as cross_sell_potential
    from ranked
    group by customer_id

),

prospects as (

    select
        present.as_of,
        present.customer_id,
        cast(present.recency_days as double) as recency_days,
        cast(present.median_gap_days as double) as median_gap_days,
        usual.category as usual_category,
        suggested.suggested_category,
        suggested.because_category,
        suggested.cross_sell_potential
    from present
    left join usual on present.customer_id = usual.customer_id
    left join suggested on present.customer_id = suggested.customer_id

)

select * from prospects
