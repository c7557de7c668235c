with

landed as (

    {%- for name, source in day_sources().items() %}
        select
            '{{ name }}' as source_table,
            {{ source.day }} as day_date,
            count(*) as count_rows,
            {{ content_of(['customer_id'] + source.columns) }} as made_from
        from (
            {{ rows_of(name) | indent(12) }}
        ) as {{ name }}
        group by {{ source.day }}
        {{ 'union all' if not loop.last }}
    {%- endfor %}

)

select * from landed
