{%- set names = [
    'seen_not_bought', 'cart_left', 'renewal_near', 'payment_failed', 'complaint_open', 'complaint_closed'
] -%}
with

customers as (

    select
        as_of,
        customer_id,
        last_order_date
    from {{ ref('customers') }}

),

-- only what came after the last purchase was not bought
visits as (

    select
        customers.customer_id,
        count_if(
            event_days.count_products_seen > 0
            and event_days.event_date >= {{ days_before(as_of(), policy('triggers', 'seen_within_days')) }}
        ) >= {{ policy('triggers', 'seen_at_least_days') }} as seen_not_bought,
        bool_or(
            event_days.is_cart_left
            and event_days.event_date >= {{ days_before(as_of(), policy('triggers', 'cart_within_days')) }}
        ) as cart_left
    from customers
    inner join {{ ref('int_customer_event_days') }} as event_days on customers.customer_id = event_days.customer_id
    where
        event_days.event_date < {{ as_of() }}
        and event_days.event_date >= {{ days_before(
            as_of(), [policy('triggers', 'seen_within_days'), policy('triggers', 'cart_within_days')] | max
        ) }}
        and (customers.last_order_date is null or customers.last_order_date < event_days.event_date)
    group by customers.customer_id

),

failures as (

    select distinct
        customers.customer_id,
        true as payment_failed
    from customers
    inner join {{ ref('int_customer_failure_days') }} as failure_days
        on customers.customer_id = failure_days.customer_id
    where
        failure_days.count_failures > 0
        and failure_days.failure_date < {{ as_of() }}
        and failure_days.failure_date >= {{ days_before(as_of(), policy('triggers', 'failure_within_days')) }}
        and (customers.last_order_date is null or customers.last_order_date < failure_days.failure_date)

),

-- a contract from month to month is always about to be renewed, and that is no occasion
renewals as (

    select distinct
        customer_id,
        true as renewal_near
    from {{ ref('int_subscriptions_dated') }}
    where
        started_date < {{ as_of() }}
        and (ended_date is null or ended_date >= {{ as_of() }})
        and cancelled_date is null
        and renews_date >= {{ as_of() }}
        and renews_date < {{ add_days(as_of(), policy('triggers', 'renewal_within_days')) }}
        and (
            not is_auto_renewing
            or {{ days_between('started_date', 'renews_date') }} > {{ 2 * policy('triggers', 'renewal_within_days') }}
        )

),

complaints as (

    select
        customer_id,
        bool_or(resolved_date is null or resolved_date >= {{ as_of() }}) as complaint_open,
        bool_or(
            resolved_date < {{ as_of() }}
            and resolved_date >= {{ days_before(as_of(), policy('triggers', 'complaint_within_days')) }}
        ) as complaint_closed,
        max_by(topic, concat(cast(opened_date as varchar), ticket_id)) as ticket_topic
    from {{ ref('int_tickets_timed') }}
    where
        is_complaint
        and opened_date < {{ as_of() }}
        and opened_date >= {{ days_before(as_of(), policy('triggers', 'topic_within_days')) }}
    group by customer_id

),

-- a complaint that is closed next to one that is open is not over
joined as (

    select
        customers.as_of,
        customers.customer_id,
        complaints.ticket_topic,
        coalesce(visits.seen_not_bought, false) as seen_not_bought,
        coalesce(visits.cart_left, false) as cart_left,
        coalesce(renewals.renewal_near, false) as renewal_near,
        coalesce(failures.payment_failed, false) as payment_failed,
        coalesce(complaints.complaint_open, false) as complaint_open,
        coalesce(complaints.complaint_closed and not complaints.complaint_open, false) as complaint_closed
    from customers
    left join visits on customers.customer_id = visits.customer_id
    left join renewals on customers.customer_id = renewals.customer_id
    left join failures on customers.customer_id = failures.customer_id
    left join complaints on customers.customer_id = complaints.customer_id

),

listed as (

    select
        as_of,
        customer_id,
        {{ held_triggers(names) }} as triggers,
        ticket_topic
    from joined

)

select * from listed
