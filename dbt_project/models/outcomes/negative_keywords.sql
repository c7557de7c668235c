with

negative as (

    select
        cast(date_trunc('month', written_date) as date) as month_date,
        language,
        customer_id,
        {{ each_word('keywords') }} as keyword
    from {{ ref('int_texts_read') }}
    where
        keywords is not null
        and written_date < {{ as_of() }}
        and written_date >= {{ days_before(as_of(), 365) }}

),

counted as (

    select
        month_date,
        language,
        keyword,
        cast(count(*) as bigint) as count_texts,
        cast(count(distinct customer_id) as bigint) as count_customers
    from negative
    group by month_date, language, keyword

),

compared as (

    select
        counted.*,
        cast(coalesce(earlier.count_texts, 0) as bigint) as count_texts_before,
        cast(row_number() over (
            partition by counted.month_date, counted.language
            order by counted.count_texts desc, counted.keyword asc
        ) as bigint) as keyword_rank
    from counted
    left join counted as earlier
        on
            counted.language = earlier.language
            and counted.keyword = earlier.keyword
            and earlier.month_date = cast({{ dbt.dateadd('month', -1, 'counted.month_date') }} as date)

)

select * from compared
