with

leavers as (

    select
        as_of,
        customer_id,
        label_until
    from {{ ref('leavers') }}

),

stated as (

    select * from {{ ref('int_reasons_stated') }}

),

-- the latest that each stated before the month in which they left was over
ranked as (

    select
        leavers.as_of,
        leavers.customer_id,
        stated.stated_reason,
        row_number() over (
            partition by leavers.as_of, leavers.customer_id
            order by stated.stated_date desc nulls last, stated.stated_in asc, stated.stated_reason asc
        ) as place
    from leavers
    left join stated
        on
            leavers.customer_id = stated.customer_id
            and leavers.label_until > stated.stated_date
            and {{ days_before('leavers.as_of', policy('stated_reasons', 'within_days')) }} <= stated.stated_date

),

counted as (

    select
        as_of,
        coalesce(stated_reason, 'unknown') as reason,
        cast(count(*) as bigint) as count_customers
    from ranked
    where place = 1
    group by as_of, coalesce(stated_reason, 'unknown')

),

shared as (

    select
        as_of,
        reason,
        count_customers,
        cast(count_customers as double) / sum(count_customers) over (partition by as_of) as share_of_leavers,
        case when reason <> 'unknown' then cast(count_customers as double) end
        / sum(case when reason <> 'unknown' then count_customers end) over (partition by as_of) as share_of_stated
    from counted

)

select * from shared
