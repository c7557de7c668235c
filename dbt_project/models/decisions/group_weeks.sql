with

weeks as (

    {{ past_weeks() | indent(4) }}

),

members as (

    {{ members_and_everybody() | indent(4) }}

),

acts as (

    select
        indicator as measure,
        customer_id,
        active_date as act_date
    from {{ ref('int_activity_days') }}
    union all
    select
        'complaints' as measure,
        customer_id,
        opened_date as act_date
    from {{ ref('int_tickets_timed') }}
    where is_complaint
    union all
    select
        'failures' as measure,
        customer_id,
        failure_date as act_date
    from {{ ref('int_customer_failure_days') }}
    where count_failures > 0
    union all
    select
        'departures' as measure,
        customer_id,
        cancelled_date as act_date
    from {{ ref('int_subscriptions_dated') }}
    where cancelled_date is not null

),

customer_weeks as (

    select distinct
        acts.measure,
        acts.customer_id,
        weeks.week_number
    from acts
    inner join weeks
        on
            acts.act_date >= weeks.first_date
            and acts.act_date <= weeks.last_date

),

counted as (

    select
        customer_weeks.measure,
        members.group_name,
        customer_weeks.week_number,
        count(*) as count_active
    from customer_weeks
    inner join members on customer_weeks.customer_id = members.customer_id
    group by customer_weeks.measure, members.group_name, customer_weeks.week_number

),

measures as (

    select distinct measure from counted

),

known as (

    select
        members.group_name,
        weeks.week_number,
        weeks.first_date,
        count(*) as count_customers
    from members
    inner join weeks on members.known_date <= weeks.last_date
    group by members.group_name, weeks.week_number, weeks.first_date

),

joined as (

    select
        measures.measure,
        known.group_name,
        known.week_number,
        known.first_date,
        known.count_customers,
        cast(coalesce(counted.count_active, 0) as bigint) as count_active
    from known
    cross join measures
    left join counted
        on
            known.group_name = counted.group_name
            and known.week_number = counted.week_number
            and measures.measure = counted.measure

)

select * from joined
