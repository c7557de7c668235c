-- noqa: disable=LT02
-- the loops below write whole selects
with

labels as (

    select
        as_of as month_date,
        customer_id,
        churned
    from {{ ref('churn_labels') }}
    where
        is_mature
        and label_until <= {{ as_of() }}
        and as_of = date_trunc('month', as_of)

),

customers as (

    select * from {{ ref('customers') }}

),

members as (

    select
        'all' as group_name,
        month_date,
        churned
    from labels
    {%- for name in known_columns('customers', policy('forecast', 'groups')) %}
    union all
    select
        concat('{{ name }}: ', customers.{{ name }}) as group_name,
        labels.month_date,
        labels.churned
    from labels
    inner join customers on labels.customer_id = customers.customer_id
    where customers.{{ name }} is not null
    {%- endfor %}

),

counted as (

    select
        group_name,
        month_date,
        cast(count(*) as bigint) as count_customers,
        cast(count_if(churned) as bigint) as count_churned
    from members
    group by group_name, month_date

)

select * from counted
