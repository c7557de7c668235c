with

source as (

    {{ cleaned_rows('subscriptions') }}

),

localised as (

    select
        subscription_id,
        customer_id,
        plan,
        started_at,
        renews_at,
        cancelled_at,
        cancel_reason,
        cast(amount_monthly as decimal(18, 4)) as amount_monthly,
        count_seats,
        is_auto_renewing,
        status,
        {{ local_day('started_at') }} as started_date,
        {{ local_day('renews_at') }} as renews_date,
        {{ local_day('cancelled_at') }} as cancelled_date,
        _source,
        _batch
    from source

)

select * from localised
