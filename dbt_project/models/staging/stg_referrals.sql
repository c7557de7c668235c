with

source as (

    {{ cleaned_rows('referrals') }}

),

localised as (

    select
        referral_id,
        customer_id,
        referred_at,
        joined_at,
        {{ local_day('referred_at') }} as referred_date,
        {{ local_day('joined_at') }} as joined_date,
        _source,
        _batch
    from source

)

select * from localised
