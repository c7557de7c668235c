with

customers as (

    select
        as_of,
        customer_id
    from {{ ref('customers') }}

),

tickets as (

    select
        customer_id,
        opened_date as stated_date,
        case when is_complaint then 'complaint' else 'question' end as stated_in,
        coalesce({{ reason_in_words('topic') }}, case when is_complaint then 'service' end) as stated_reason
    from {{ ref('int_tickets_timed') }}
    where
        opened_date < {{ as_of() }}
        and opened_date >= {{ days_before(as_of(), policy('stated_reasons', 'within_days')) }}

),

cancellations as (

    select
        customer_id,
        cancelled_date as stated_date,
        'cancellation' as stated_in,
        coalesce({{ reason_in_words('cancel_reason') }}, 'other') as stated_reason
    from {{ ref('stg_subscriptions') }}
    where
        cancel_reason is not null
        and cancelled_date < {{ as_of() }}
        and cancelled_date >= {{ days_before(as_of(), policy('stated_reasons', 'within_days')) }}

),

stated as (

    select * from tickets
    where stated_reason is not null
    union all
    select * from cancellations

),

-- of one day a complaint counts before a cancellation, which counts before a question
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
                case stated_in when 'complaint' then 1 when 'cancellation' then 2 else 3 end asc,
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
