with

windows as (

    {{ incident_windows() | indent(4) }}

),

active_days as (

    select
        customer_id,
        order_date as active_date
    from {{ ref('int_customer_order_days') }}
    union
    select
        customer_id,
        usage_date as active_date
    from {{ ref('int_customer_usage_days') }}
    union
    select
        customer_id,
        event_date as active_date
    from {{ ref('int_customer_event_days') }}

),

-- who comes by on at least half of the days, so that a silence of some days means something
regulars as (

    select
        customer_id,
        min(active_date) as known_date
    from active_days
    where
        active_date >= {{ days_before(as_of(), 7 * policy('incidents', 'baseline_weeks')) }}
        and active_date < {{ days_before(as_of(), policy('incidents', 'days')) }}
    group by customer_id
    having count(*) * 2 >= {{ 7 * policy('incidents', 'baseline_weeks') - policy('incidents', 'days') }}

),

-- a feed that has not arrived is no silence
knowledge as (

    select coalesce(min(known_until), {{ as_of() }}) >= {{ as_of() }} as is_whole
    from {{ ref('feed_coverage') }}
    where source_table in ('orders', 'usage', 'events')

),

seen as (

    select distinct
        active_days.customer_id,
        windows.window_number
    from active_days
    inner join windows
        on
            active_days.active_date >= windows.first_date
            and active_days.active_date <= windows.last_date

),

silences as (

    select
        'inactivity' as measure,
        windows.window_number,
        regulars.customer_id,
        cast(null as varchar) as detail,
        seen.customer_id is null as has_event
    from regulars
    cross join windows
    inner join knowledge on knowledge.is_whole
    left join seen
        on
            regulars.customer_id = seen.customer_id
            and windows.window_number = seen.window_number
    where regulars.known_date <= windows.first_date

),

dated as (

    select
        'complaints' as measure,
        customer_id,
        opened_date as event_date,
        topic as detail
    from {{ ref('int_tickets_timed') }}
    where is_complaint
    union all
    select
        'failures' as measure,
        customer_id,
        failure_date as event_date,
        cast(null as varchar) as detail
    from {{ ref('int_customer_failure_days') }}
    where count_failures > 0
    union all
    select
        'departures' as measure,
        customer_id,
        cancelled_date as event_date,
        plan as detail
    from {{ ref('int_subscriptions_dated') }}
    where cancelled_date is not null
    union all
    select
        'opinions' as measure,
        customer_id,
        written_date as event_date,
        coalesce(symptom, domain) as detail
    from {{ ref('int_texts_read') }}
    where
        is_negative
        and written_in = 'feedback'

),

happened as (

    select
        dated.measure,
        windows.window_number,
        dated.customer_id,
        min(dated.detail) as detail,
        true as has_event
    from dated
    inner join windows
        on
            dated.event_date >= windows.first_date
            and dated.event_date <= windows.last_date
    group by dated.measure, windows.window_number, dated.customer_id

),

all_events as (

    select * from silences
    union all
    select * from happened

)

select * from all_events
