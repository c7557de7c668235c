-- generated from dbt_project/library by python -m dbt_project.library; change it there
with

snapshots as (

    {{ snapshots() }}

),

days as (

    select * from {{ ref('int_customer_feedback_days') }}

),

placed as (

    select
        snapshots.as_of,
        days.*,
        {{ days_between('days.feedback_date', 'snapshots.as_of') }} as age_days
    from snapshots
    cross join days
    where days.feedback_date < snapshots.as_of

),

aggregated as (

    select
        as_of,
        customer_id,
        sum(count_feedback) filter (where age_days <= 30) as count_feedback_30d,
        sum(count_feedback) filter (where age_days <= 90) as count_feedback_90d,
        sum(count_feedback) filter (where age_days <= 365) as count_feedback_365d,
        cast(sum(sum_rating) filter (where age_days <= 90) as double)
        / nullif(sum(count_rated) filter (where age_days <= 90), 0) as mean_rating_90d,
        cast(sum(sum_rating) filter (where age_days <= 365) as double)
        / nullif(sum(count_rated) filter (where age_days <= 365), 0) as mean_rating_365d,
        sum(count_low_ratings) filter (where age_days <= 30) as count_low_ratings_30d,
        sum(count_low_ratings) filter (where age_days <= 90) as count_low_ratings_90d,
        sum(count_low_ratings) filter (where age_days <= 365) as count_low_ratings_365d,
        cast(sum(count_promoters - count_detractors) filter (where age_days <= 365) as double)
        / nullif(sum(count_nps) filter (where age_days <= 365), 0) as net_promoter_365d,
        sum(count_social) filter (where age_days <= 90) as count_posts_90d,
        min(age_days) as days_since_feedback
    from placed
    group by as_of, customer_id

)

select * from aggregated
