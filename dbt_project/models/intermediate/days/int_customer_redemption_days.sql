with

redemptions as (

    {{ rows_of('redemptions', to_rebuild_only=true) | indent(4) }}

),

days as (

    select
        customer_id,
        redeemed_date as redemption_date,
        count(*) as count_redemptions,
        cast(sum(amount) as decimal(18, 4)) as amount_redeemed
    from redemptions
    group by customer_id, redeemed_date

)

select * from days
