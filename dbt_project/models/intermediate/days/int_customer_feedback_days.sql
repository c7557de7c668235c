with

landed as (

    {{ rows_of('feedback', to_rebuild_only=true) | indent(4) }}

),

feedback as (

    select
        customer_id,
        given_date as feedback_date,
        lower(coalesce(kind, 'review')) as kind,
        cast(rating as decimal(9, 4)) as rating
    from landed

),

days as (

    select
        customer_id,
        feedback_date,
        count(*) as count_feedback,
        cast(count_if(kind = 'social') as bigint) as count_social,
        count(rating) filter (where kind <> 'nps') as count_rated,
        cast(coalesce(sum(rating) filter (where kind <> 'nps'), 0) as decimal(18, 4)) as sum_rating,
        cast(count_if(kind <> 'nps' and rating <= 2) as bigint) as count_low_ratings,
        count(rating) filter (where kind = 'nps') as count_nps,
        cast(count_if(kind = 'nps' and rating >= 9) as bigint) as count_promoters,
        cast(count_if(kind = 'nps' and rating <= 6) as bigint) as count_detractors
    from feedback
    group by customer_id, feedback_date

)

select * from days
