with

tickets as (

    select
        stg_tickets.*,
        coalesce(contacts.account_id, stg_tickets.customer_id) as account_id
    from {{ ref('stg_tickets') }} as stg_tickets
    left join {{ ref('int_contacts') }} as contacts on stg_tickets.customer_id = contacts.customer_id

),

timed as (

    select
        ticket_id,
        account_id as customer_id,
        opened_date,
        first_response_date,
        resolved_date,
        lower(topic) as topic,
        lower(coalesce(kind, 'consultation')) = 'complaint' as is_complaint,
        lower(coalesce(priority, 'normal')) = 'high' as is_urgent,
        {{ minutes_between('opened_at', 'first_response_at') }} as response_minutes,
        {{ minutes_between('opened_at', 'resolved_at') }} as resolution_minutes,
        cast(satisfaction as decimal(9, 4)) as satisfaction
    from tickets

),

-- a time that runs backwards is a fault of the source and says nothing
corrected as (

    select
        ticket_id,
        customer_id,
        opened_date,
        first_response_date,
        resolved_date,
        topic,
        is_complaint,
        is_urgent,
        case when response_minutes >= 0 then response_minutes end as response_minutes,
        case when resolution_minutes >= 0 then resolution_minutes end as resolution_minutes,
        satisfaction
    from timed

)

select * from corrected
