{%- set carried_from = day_of_carried_tags() -%}
{%- set read_after = carried_from or '0001-01-01' -%}
with

tags as (

    {{ declared_tags() }}

),

-- where the tags of the run before stand, the day itself is all that is left to read
history as (

    select * from {{ ref('customer_history') }}
    where
        as_of <= {{ as_of() }}
        and as_of > cast('{{ read_after }}' as date)

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
    where
        history.tags <> ''
        and position(concat(',', tags.tag, ',') in concat(',', history.tags, ',')) > 0

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

standing as (

    {%- if carried_from %}
        select
            customer_id,
            tag,
            held_since
        from {{ this }}
    {%- else %}
        select
            customer_id,
            tag,
            held_since
        from spells
        where 1 = 0
    {%- endif %}

),

explained as (

    select
        {{ as_of() }} as as_of,
        spells.customer_id,
        spells.tag,
        coalesce(standing.held_since, spells.held_since) as held_since,
        tags.label_en,
        tags.label_zh,
        tags.owner,
        tags.reason
    from spells
    inner join tags on spells.tag = tags.tag
    left join standing
        on
            spells.customer_id = standing.customer_id
            and spells.tag = standing.tag

)

select * from explained
