{{ config(materialized='view') }}
with

main as (

    select
        as_of,
        customer_id,
        churned
    from {{ ref('churn_labels') }}
    where
        is_mature
        and label_until <= {{ as_of() }}
        and as_of = date_trunc('month', as_of)

),

leavers as (

    select
        as_of,
        customer_id,
        state
    from {{ ref('leavers') }}

),

months as (

    select distinct as_of from leavers

),

-- of who left by the main definition, who stayed away until they count as lost; of who stayed, nobody
lasting as (

    select
        main.as_of,
        main.customer_id,
        'lost' as other_definition,
        main.churned as is_main,
        case
            when not main.churned then false
            when leavers.state = 'lost' then true
            when leavers.state = 'returned' then false
        end as is_other,
        true as is_in_other
    from main
    inner join months on main.as_of = months.as_of
    left join leavers
        on
            main.as_of = leavers.as_of
            and main.customer_id = leavers.customer_id

),

-- a definition that differs in its lead time alone counts the same customers
others as (

    select
        as_of,
        customer_id,
        concat(definition, ' ', horizon_days) as other_definition,
        churned
    from {{ ref('churn_outcomes') }}
    where not (definition = '{{ churn('definition') }}' and horizon_days = {{ churn('horizon_days') }})

),

definitions as (

    select distinct
        as_of,
        other_definition
    from others

),

declared as (

    select
        main.as_of,
        main.customer_id,
        definitions.other_definition,
        main.churned as is_main,
        others.churned as is_other,
        others.customer_id is not null as is_in_other
    from main
    inner join definitions on main.as_of = definitions.as_of
    left join others
        on
            main.as_of = others.as_of
            and main.customer_id = others.customer_id
            and definitions.other_definition = others.other_definition

),

pairs as (

    select * from lasting
    union all
    select * from declared

),

crossed as (

    select
        as_of,
        customer_id,
        other_definition,
        is_main,
        is_other,
        case
            when not is_in_other then 'not counted'
            when is_other is null then 'open'
            when is_main and is_other then 'both'
            when is_main then 'main only'
            when is_other then 'other only'
            else 'neither'
        end as cell
    from pairs

)

select * from crossed
