-- generated from dbt_project/library by python -m dbt_project.library; change it there
with

snapshots as (

    {{ snapshots() }}

),

days as (

    select * from {{ ref('int_texts_read') }}

),

placed as (

    select
        snapshots.as_of,
        days.*,
        {{ days_between('days.written_date', 'snapshots.as_of') }} as age_days
    from snapshots
    cross join days
    where
        days.written_date < snapshots.as_of
        and days.written_in = 'feedback'

),

aggregated as (

    select
        as_of,
        customer_id,
        count(*) filter (where is_negative and age_days <= 30) as count_negative_feedback_texts_30d,
        count(*) filter (where is_negative and age_days <= 90) as count_negative_feedback_texts_90d,
        cast(count(*) filter (where is_negative and age_days <= 365) as double)
        / nullif(count(*) filter (where age_days <= 365), 0) as share_negative_feedback_texts_365d,
        min(age_days) filter (where is_negative) as days_since_negative_feedback_text,
        count(*) filter (where is_negative and domain = 'service' and age_days <= 90)
            as count_service_feedback_texts_90d,
        count(*) filter (where is_negative and domain = 'price' and age_days <= 90)
            as count_price_feedback_texts_90d,
        count(*) filter (where is_negative and domain = 'product' and age_days <= 90)
            as count_product_feedback_texts_90d,
        count(*) filter (where is_negative and domain = 'rival' and age_days <= 90)
            as count_rival_feedback_texts_90d,
        count(*) filter (where is_negative and domain = 'delivery' and age_days <= 90)
            as count_delivery_feedback_texts_90d
    from placed
    group by as_of, customer_id

)

select * from aggregated
