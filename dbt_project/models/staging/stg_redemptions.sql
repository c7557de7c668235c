with

source as (

    {{ cleaned_rows('redemptions') }}

),

localised as (

    select
        redemption_id,
        customer_id,
        campaign_id,
        coupon_id,
        redeemed_at,
        cast(amount as decimal(18, 4)) as amount,
        {{ local_day('redeemed_at') }} as redeemed_date,
        _source,
        _batch
    from source

)

select * from localised
