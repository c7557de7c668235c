with

windows as (

    {{ incident_windows() | indent(4) }}

),

measures as (

    {{ incident_measures() | indent(4) }}

),

members as (

    select * from {{ ref('group_members') }}

),

events as (

    select * from {{ ref('incident_events') }}

),

known as (

    select
        members.group_name,
        windows.window_number,
        count(*) as count_customers
    from members
    inner join windows on members.known_date < windows.first_date
    group by members.group_name, windows.window_number

),

-- of every measure but inactivity all customers known by then are exposed
exposed as (

    select
        measures.measure,
        known.group_name,
        known.window_number,
        known.count_customers
    from known
    cross join measures

),

counted as (

    select
        events.measure,
        members.group_name,
        events.window_number,
        count(*) as count_known,
        count_if(events.has_event) as count_events
    from members
    inner join windows on members.known_date < windows.first_date
    inner join events
        on
            members.customer_id = events.customer_id
            and windows.window_number = events.window_number
    group by events.measure, members.group_name, events.window_number

),

joined as (

    select
        exposed.measure,
        exposed.group_name,
        windows.window_number,
        windows.first_date,
        windows.last_date,
        cast(
            case
                when exposed.measure = 'inactivity' then coalesce(counted.count_known, 0)
                else exposed.count_customers
            end as bigint
        ) as count_customers,
        cast(coalesce(counted.count_events, 0) as bigint) as count_events
    from exposed
    inner join windows on exposed.window_number = windows.window_number
    left join counted
        on
            exposed.measure = counted.measure
            and exposed.group_name = counted.group_name
            and exposed.window_number = counted.window_number

)

select * from joined
