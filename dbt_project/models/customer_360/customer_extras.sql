{{ config(enabled=var('extra_columns') | length > 0, contract={'enforced': false}) }}
with

customers as (

    select * from {{ ref('stg_customers') }}

),

extras as (

    select
        {{- extra_columns() }}
        customer_id
    from customers

)

select * from extras
