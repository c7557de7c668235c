with

landed as (

    {{ rows_of('feedback', due_only=true) | indent(4) }}

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
        count_if(kind = 'social') as count_social,
        count(rating) filter (where kind <> 'nps') as count_rated,
        coalesce(sum(rating) filter (where kind <> 'nps'), 0) as sum_rating,
        count_if(kind <> 'nps' and rating <= 2) as count_low_ratings,
        count(rating) filter (where kind = 'nps') as count_nps,
        count_if(kind = 'nps' and rating >= 9) as count_promoters,
        count_if(kind = 'nps' and rating <= 6) as count_detractors
    from feedback
    group by customer_id, feedback_date

)

select * from days
