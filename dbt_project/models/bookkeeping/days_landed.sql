{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    pre_hook='{{ forget_landed_days() }}',
    post_hook='{{ remember_landed_days() }}'
) }}
with

landed as (

    {%- for name, source in day_sources().items() %}
        select
            '{{ name }}' as source_table,
            {{ source.day }} as day_date,
            count(*) as count_rows,
            {{ content_of(['customer_id'] + source.columns) }} as made_from
        from (
            {{ rows_of(name, days=changed_landed_days(name)) | indent(12) }}
        ) as {{ name }}
        group by {{ source.day }}
        {{ 'union all' if not loop.last }}
    {%- endfor %}

)

select * from landed
