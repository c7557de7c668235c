with

touches as (

    {{ rows_of('touches', to_rebuild_only=true) | indent(4) }}

),

days as (

    select
        customer_id,
        touched_date as touch_date,
        count(*) as count_touches,
        count(is_opened) as count_opened_known,
        cast(count_if(is_opened) as bigint) as count_opened,
        count(is_clicked) as count_clicked_known,
        cast(count_if(is_clicked) as bigint) as count_clicked
    from touches
    group by customer_id, touched_date

)

select * from days
