with

counted as (

    {{ rows_by_feed_and_day() | indent(4) }}

)

select * from counted
