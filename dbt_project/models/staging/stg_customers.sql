with

source as (

    {{ cleaned_rows('customers') }}

),

localised as (

    select
        customer_id,
        kind,
        parent_customer_id,
        email_domain,
        city,
        region,
        country,
        gender,
        age_band,
        income_band,
        household,
        level,
        preference,
        signed_up_at,
        acquisition_channel,
        cast(acquisition_cost as decimal(18, 4)) as acquisition_cost,
        owner,
        {{ local_day('signed_up_at') }} as signed_up_date,
        {{- extra_columns() }}
        _source,
        _batch
    from source

)

select * from localised
