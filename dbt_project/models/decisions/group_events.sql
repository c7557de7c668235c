with

members as (

    select * from {{ ref('group_members') }}

),

events as (

    select * from {{ ref('incident_events') }}

),

candidates as (

    select
        customer_id,
        money_at_risk
    from {{ ref('candidates') }}

),

joined as (

    select
        events.measure,
        members.group_name,
        events.customer_id,
        events.detail,
        candidates.money_at_risk
    from events
    inner join members on events.customer_id = members.customer_id
    left join candidates on events.customer_id = candidates.customer_id
    where
        events.window_number = 0
        and events.has_event
        and members.known_date < {{ days_before(as_of(), policy('incidents', 'days')) }}

)

select * from joined
