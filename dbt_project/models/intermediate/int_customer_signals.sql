{{ config(materialized='view') }}
with

satisfaction as (

    select
        customer_id,
        cast(sum(count_feedback) as bigint) as count_reviews_year,
        cast(sum(sum_rating) as double) / nullif(sum(count_rated), 0) as mean_rating_year,
        cast(sum(count_promoters) as bigint) as count_recommendations_year,
        cast(sum(count_detractors + count_low_ratings) as bigint) as count_criticisms_year
    from {{ ref('int_customer_feedback_days') }}
    where
        feedback_date < {{ as_of() }}
        and feedback_date >= {{ days_before(as_of(), 365) }}
    group by customer_id

),

open_complaints as (

    select
        customer_id,
        count(*) as count_open_complaints
    from {{ ref('int_tickets_timed') }}
    where
        is_complaint
        and opened_date < {{ as_of() }}
        and coalesce(resolved_date >= {{ as_of() }}, true)
    group by customer_id

),

visits as (

    select
        customer_id,
        count_if(event_date >= {{ days_before(as_of(), 30) }}) as count_visit_days_month,
        count_if(event_date < {{ days_before(as_of(), 30) }}) as count_visit_days_month_before
    from {{ ref('int_customer_event_days') }}
    where
        event_date < {{ as_of() }}
        and event_date >= {{ days_before(as_of(), 60) }}
    group by customer_id

),

-- a reading of nothing is no use
used_days as (

    select distinct
        customer_id,
        usage_date
    from {{ ref('int_customer_usage_days') }}
    where
        usage_date < {{ as_of() }}
        and usage_date >= {{ days_before(as_of(), 60) }}
        and amount_used > 0

),

uses as (

    select
        customer_id,
        count_if(usage_date >= {{ days_before(as_of(), 30) }}) as count_usage_days_month,
        count_if(usage_date < {{ days_before(as_of(), 30) }}) as count_usage_days_month_before
    from used_days
    group by customer_id

),

touches as (

    select
        customer_id,
        cast(sum(count_touches) as bigint) as count_touches_quarter,
        cast(sum(count_opened) as double) / nullif(sum(count_opened_known), 0) as share_touches_opened_quarter
    from {{ ref('int_customer_touch_days') }}
    where
        touch_date < {{ as_of() }}
        and touch_date >= {{ days_before(as_of(), 90) }}
    group by customer_id

),

invoices as (

    select
        customer_id,
        count_if(due_date < least(coalesce(paid_date, {{ as_of() }}), {{ as_of() }})) as count_late_payments_year,
        sum(amount) filter (where due_date < {{ as_of() }} and coalesce(paid_date >= {{ as_of() }}, true))
            as amount_overdue
    from {{ ref('int_invoices_dated') }}
    where
        issued_date < {{ as_of() }}
        and issued_date >= {{ days_before(as_of(), 365) }}
    group by customer_id

),

deliveries as (

    select
        customer_id,
        count_if(promised_date < least(coalesce(delivered_date, failed_date, {{ as_of() }}), {{ as_of() }}))
            as count_late_deliveries_quarter,
        count_if(is_stockout and failed_date < {{ as_of() }}) as count_stockouts_quarter
    from {{ ref('int_deliveries_dated') }}
    where
        ordered_date < {{ as_of() }}
        and ordered_date >= {{ days_before(as_of(), 90) }}
    group by customer_id

),

referrals as (

    select
        coalesce(contacts.account_id, stg_referrals.customer_id) as customer_id,
        count(*) as count_referrals_year,
        count_if(stg_referrals.joined_date < {{ as_of() }}) as count_referred_year
    from {{ ref('stg_referrals') }} as stg_referrals
    left join {{ ref('int_contacts') }} as contacts on stg_referrals.customer_id = contacts.customer_id
    where
        stg_referrals.referred_date < {{ as_of() }}
        and stg_referrals.referred_date >= {{ days_before(as_of(), 365) }}
    group by coalesce(contacts.account_id, stg_referrals.customer_id)

),

channels as (

    select
        customer_id,
        channel,
        sum(count_orders) as count_orders,
        row_number() over (partition by customer_id order by sum(count_orders) desc, channel asc) as place
    from {{ ref('int_customer_channel_days') }}
    where
        order_date < {{ as_of() }}
        and order_date >= {{ days_before(as_of(), 365) }}
    group by customer_id, channel

),

departments as (

    select
        customer_id,
        department,
        sum(count_lines) as count_lines,
        row_number() over (partition by customer_id order by sum(count_lines) desc, department asc) as place
    from {{ ref('int_customer_department_days') }}
    where
        order_date < {{ as_of() }}
        and order_date >= {{ days_before(as_of(), 365) }}
    group by customer_id, department

),

signals as (

    select
        customers.customer_id,
        {{ counted(['tickets'], 'open_complaints.count_open_complaints') }} as count_open_complaints,
        {{ counted(['feedback'], 'satisfaction.count_reviews_year') }} as count_reviews_year,
        satisfaction.mean_rating_year,
        {{ counted(['feedback'], 'satisfaction.count_recommendations_year') }} as count_recommendations_year,
        {{ counted(['feedback'], 'satisfaction.count_criticisms_year') }} as count_criticisms_year,
        {{ counted(['events'], 'visits.count_visit_days_month') }} as count_visit_days_month,
        {{ counted(['events'], 'visits.count_visit_days_month_before') }} as count_visit_days_month_before,
        {{ counted(['usage'], 'uses.count_usage_days_month') }} as count_usage_days_month,
        {{ counted(['usage'], 'uses.count_usage_days_month_before') }} as count_usage_days_month_before,
        {{ counted(['touches'], 'touches.count_touches_quarter') }} as count_touches_quarter,
        touches.share_touches_opened_quarter,
        {{ counted(['invoices'], 'invoices.count_late_payments_year') }} as count_late_payments_year,
        cast(invoices.amount_overdue as double) as amount_overdue,
        {{ counted(['deliveries'], 'deliveries.count_late_deliveries_quarter') }} as count_late_deliveries_quarter,
        {{ counted(['deliveries'], 'deliveries.count_stockouts_quarter') }} as count_stockouts_quarter,
        {{ counted(['referrals'], 'referrals.count_referrals_year') }} as count_referrals_year,
        {{ counted(['referrals'], 'referrals.count_referred_year') }} as count_referred_year,
        channels.channel as favourite_channel,
        departments.department as favourite_department
    from {{ ref('int_customers_dated') }} as customers
    left join satisfaction on customers.customer_id = satisfaction.customer_id
    left join open_complaints on customers.customer_id = open_complaints.customer_id
    left join visits on customers.customer_id = visits.customer_id
    left join uses on customers.customer_id = uses.customer_id
    left join touches on customers.customer_id = touches.customer_id
    left join invoices on customers.customer_id = invoices.customer_id
    left join deliveries on customers.customer_id = deliveries.customer_id
    left join referrals on customers.customer_id = referrals.customer_id
    left join channels on customers.customer_id = channels.customer_id and channels.place = 1
    left join departments on customers.customer_id = departments.customer_id and departments.place = 1

)

select * from signals
