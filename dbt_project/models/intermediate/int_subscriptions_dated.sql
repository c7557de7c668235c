with

subscriptions as (

    select * from {{ ref('stg_subscriptions') }}

),

dated as (

    select
        subscription_id,
        customer_id,
        plan,
        started_date,
        renews_date,
        coalesce(amount_monthly, 0) as amount_monthly,
        count_seats,
        coalesce(is_auto_renewing, false) as is_auto_renewing,
        cancelled_date,
        case
            when cancelled_date is not null then cancelled_date
            when status in ('cancelled', 'expired') then coalesce(renews_date, started_date)
            when not coalesce(is_auto_renewing, true) then renews_date
        end as ended_date
    from subscriptions

)

select * from dated
