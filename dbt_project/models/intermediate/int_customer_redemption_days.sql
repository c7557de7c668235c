with

redemptions as (

    select * from {{ ref('stg_redemptions') }}

),

days as (

    select
        customer_id,
        redeemed_date as redemption_date,
        count(*) as count_redemptions,
        sum(amount) as amount_redeemed
    from redemptions
    group by customer_id, redeemed_date

)

select * from days
