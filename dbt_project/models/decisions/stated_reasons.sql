with

customers as (

    select
        as_of,
        customer_id
    from {{ ref('customers') }}

),

stated as (

    select * from {{ ref('int_reasons_stated') }}
    where
        stated_date < {{ as_of() }}
        and stated_date >= {{ days_before(as_of(), policy('stated_reasons', 'within_days')) }}

),

-- of one day a complaint counts before a cancellation, which counts before feedback and that before a question
ranked as (

    select
        customer_id,
        stated_date,
        stated_in,
        stated_reason,
        row_number() over (
            partition by customer_id
            order by
                stated_date desc,
                case stated_in when 'complaint' then 1 when 'cancellation' then 2 when 'feedback' then 3 else 4 end asc,
                stated_reason asc
        ) as place
    from stated

),

latest as (

    select
        customers.as_of,
        customers.customer_id,
        ranked.stated_reason,
        ranked.stated_in,
        ranked.stated_date
    from customers
    inner join ranked
        on
            customers.customer_id = ranked.customer_id
            and ranked.place = 1

)

select * from latest
