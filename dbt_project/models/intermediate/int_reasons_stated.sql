with

texts as (

    select * from {{ ref('int_texts_read') }}

),

-- the source's own topic counts before what was read in the text
tickets as (

    select
        tickets.customer_id,
        tickets.opened_date as stated_date,
        case when tickets.is_complaint then 'complaint' else 'question' end as stated_in,
        coalesce(
            {{ reason_in_words('tickets.topic') }}, texts.reason, case when tickets.is_complaint then 'service' end
        ) as stated_reason
    from {{ ref('int_tickets_timed') }} as tickets
    left join texts
        on
            tickets.ticket_id = texts.text_id
            and texts.written_in = 'ticket'

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
        and cancelled_date is not null

),

feedback as (

    select
        customer_id,
        written_date as stated_date,
        'feedback' as stated_in,
        reason as stated_reason
    from texts
    where written_in = 'feedback'

),

stated as (

    select * from tickets
    union all
    select * from cancellations
    union all
    select * from feedback

)

select * from stated
where stated_reason is not null
