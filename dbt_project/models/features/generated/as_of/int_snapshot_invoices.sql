-- generated from dbt_project/library by python -m dbt_project.library; change it there
with

snapshots as (

    {{ snapshots() }}

),

days as (

    select * from {{ ref('int_invoices_dated') }}

),

placed as (

    select
        snapshots.as_of,
        days.*,
        {{ days_between('days.issued_date', 'snapshots.as_of') }} as age_days
    from snapshots
    cross join days
    where days.issued_date < snapshots.as_of

),

measured as (

    select
        *,
        {{ days_between('due_date', 'least(coalesce(paid_date, as_of), as_of)') }} as delay_days,
        due_date < as_of and coalesce(paid_date >= as_of, true) as is_overdue,
        case when dunned_date < as_of then {{ days_between('dunned_date', 'as_of') }} end as dunned_days,
        case when disputed_date < as_of then {{ days_between('disputed_date', 'as_of') }} end as disputed_days
    from placed

),

aggregated as (

    select
        as_of,
        customer_id,
        count(*) filter (where is_overdue) as count_overdue_invoices,
        max(delay_days) filter (where is_overdue) as days_oldest_overdue_invoice,
        sum(amount) filter (where is_overdue) as amount_overdue,
        count(*) filter (where delay_days > 0 and age_days <= 90) as count_late_payments_90d,
        count(*) filter (where delay_days > 0 and age_days <= 365) as count_late_payments_365d,
        avg(delay_days) filter (where age_days <= 90 and (paid_date < as_of or is_overdue))
            as mean_payment_delay_days_90d,
        avg(delay_days) filter (where age_days <= 365 and (paid_date < as_of or is_overdue))
            as mean_payment_delay_days_365d,
        count(*) filter (where dunned_days <= 90) as count_dunnings_90d,
        count(*) filter (where dunned_days <= 365) as count_dunnings_365d,
        min(disputed_days) as days_since_invoice_dispute
    from measured
    group by as_of, customer_id

)

select * from aggregated
