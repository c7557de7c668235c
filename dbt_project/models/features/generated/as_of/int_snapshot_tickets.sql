-- generated from dbt_project/library by python -m dbt_project.library; change it there
with

snapshots as (

    {{ snapshots() }}

),

days as (

    select * from {{ ref('int_tickets_timed') }}

),

placed as (

    select
        snapshots.as_of,
        days.*,
        {{ days_between('days.opened_date', 'snapshots.as_of') }} as age_days
    from snapshots
    cross join days
    where days.opened_date < snapshots.as_of

),

measured as (

    select
        *,
        coalesce(first_response_date < as_of, false) as is_answered,
        coalesce(resolved_date < as_of, false) as is_solved
    from placed

),

aggregated as (

    select
        as_of,
        customer_id,
        count(*) filter (where is_complaint and age_days <= 7) as count_complaints_7d,
        count(*) filter (where is_complaint and age_days <= 30) as count_complaints_30d,
        count(*) filter (where is_complaint and age_days <= 90) as count_complaints_90d,
        count(*) filter (where is_complaint and age_days <= 180) as count_complaints_180d,
        count(*) filter (where is_complaint and age_days <= 365) as count_complaints_365d,
        count(*) filter (where not is_complaint and age_days <= 30) as count_consultations_30d,
        count(*) filter (where not is_complaint and age_days <= 90) as count_consultations_90d,
        count(*) filter (where not is_complaint and age_days <= 180) as count_consultations_180d,
        count(*) filter (where is_urgent and age_days <= 90) as count_urgent_tickets_90d,
        count(*) filter (where topic = 'price' and age_days <= 30) as count_price_tickets_30d,
        count(*) filter (where topic = 'product' and age_days <= 30) as count_product_tickets_30d,
        count(*) filter (where topic = 'rival' and age_days <= 30) as count_rival_tickets_30d,
        count(*) filter (where topic = 'price' and age_days <= 90) as count_price_tickets_90d,
        count(*) filter (where topic = 'product' and age_days <= 90) as count_product_tickets_90d,
        count(*) filter (where topic = 'rival' and age_days <= 90) as count_rival_tickets_90d,
        count(*) filter (where topic = 'price' and age_days <= 180) as count_price_tickets_180d,
        count(*) filter (where topic = 'product' and age_days <= 180) as count_product_tickets_180d,
        count(*) filter (where topic = 'rival' and age_days <= 180) as count_rival_tickets_180d,
        min(age_days) filter (where topic = 'price') as days_since_price_ticket,
        min(age_days) filter (where topic = 'product') as days_since_product_ticket,
        min(age_days) filter (where topic = 'rival') as days_since_rival_ticket,
        count(*) filter (where not is_solved) as count_open_tickets,
        count(*) filter (where is_complaint and not is_solved) as count_open_complaints,
        max(age_days) filter (where not is_solved) as days_oldest_open_ticket,
        min(age_days) filter (where is_complaint) as days_since_complaint,
        min(age_days) as days_since_ticket,
        cast(sum(response_minutes) filter (where age_days <= 30 and is_answered) as double)
        / nullif(60 * count(response_minutes) filter (where age_days <= 30 and is_answered), 0)
            as mean_response_hours_30d,
        cast(sum(response_minutes) filter (where age_days <= 90 and is_answered) as double)
        / nullif(60 * count(response_minutes) filter (where age_days <= 90 and is_answered), 0)
            as mean_response_hours_90d,
        cast(sum(response_minutes) filter (where age_days <= 365 and is_answered) as double)
        / nullif(60 * count(response_minutes) filter (where age_days <= 365 and is_answered), 0)
            as mean_response_hours_365d,
        cast(sum(response_minutes) filter (where age_days <= 90 and is_complaint and is_answered) as double)
        / nullif(60 * count(response_minutes) filter (where age_days <= 90 and is_complaint and is_answered), 0)
            as mean_complaint_response_hours_90d,
        cast(sum(response_minutes) filter (where age_days <= 365 and is_complaint and is_answered) as double)
        / nullif(60 * count(response_minutes) filter (where age_days <= 365 and is_complaint and is_answered), 0)
            as mean_complaint_response_hours_365d,
        cast(max(response_minutes) filter (where age_days <= 90 and is_answered) as double) / 60
            as longest_response_hours_90d,
        cast(sum(resolution_minutes) filter (where age_days <= 90 and is_solved) as double)
        / nullif(60 * count(resolution_minutes) filter (where age_days <= 90 and is_solved), 0)
            as mean_resolution_hours_90d,
        cast(sum(resolution_minutes) filter (where age_days <= 365 and is_solved) as double)
        / nullif(60 * count(resolution_minutes) filter (where age_days <= 365 and is_solved), 0)
            as mean_resolution_hours_365d,
        cast(count(*) filter (where age_days <= 90 and is_solved) as double)
        / nullif(count(*) filter (where age_days <= 90), 0) as share_solved_90d,
        cast(sum(satisfaction) filter (where age_days <= 90 and is_solved) as double)
        / nullif(count(satisfaction) filter (where age_days <= 90 and is_solved), 0)
            as mean_satisfaction_90d,
        cast(sum(satisfaction) filter (where age_days <= 365 and is_solved) as double)
        / nullif(count(satisfaction) filter (where age_days <= 365 and is_solved), 0)
            as mean_satisfaction_365d,
        min(satisfaction) filter (where age_days <= 365 and is_solved) as least_satisfaction_365d,
        count(*) filter (where satisfaction <= 2 and age_days <= 90 and is_solved)
            as count_dissatisfied_90d,
        count(*) filter (where satisfaction <= 2 and age_days <= 365 and is_solved)
            as count_dissatisfied_365d
    from measured
    group by as_of, customer_id

)

select * from aggregated
