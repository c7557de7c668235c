with

tags as (

    {{ declared_tags() }}

),

history as (

    select * from {{ ref('customer_history') }}
    where as_of <= {{ as_of() }}

),

days as (

    select
        as_of,
        row_number() over (order by as_of desc) as days_back
    from history
    group by as_of

),

-- a tag's present spell goes back over the days of runs without a gap
carried as (

    select
        history.as_of,
        history.customer_id,
        tags.tag,
        days.days_back,
        row_number() over (partition by history.customer_id, tags.tag order by history.as_of desc) as times_back
    from history
    cross join tags
    inner join days on history.as_of = days.as_of
    where concat(',', history.tags, ',') like concat('%,', tags.tag, ',%')

),

spells as (

    select
        customer_id,
        tag,
        min(as_of) as held_since
    from carried
    where days_back = times_back
    group by customer_id, tag

),

explained as (

    select
        spells.customer_id,
        spells.tag,
        spells.held_since,
        tags.label_en,
        tags.label_zh,
        tags.owner,
        tags.reason
    from spells
    inner join tags on spells.tag = tags.tag

)

select * from explained
