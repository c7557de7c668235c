with

snapshots as (

    select * from {{ ref('customer_features') }}
    where is_eligible

),

kinds as (

    select
        customer_id as kind_of,
        kind
    from {{ ref('customers') }}

),

{%- if fixed_columns() %}

extras as (

    select
        {%- for column in fixed_columns() %}
        {{ feature_of(column) }},
        {%- endfor %}
        customer_id as extras_of
    from {{ ref('customer_extras') }}

),
{%- endif %}

grouped as (

    select
        snapshots.*,
        {%- for column in fixed_columns() %}
        extras.{{ column.name }},
        {%- endfor %}
        {{ customer_group() }} as customer_group
    from snapshots
    left join kinds on snapshots.customer_id = kinds.kind_of
    {%- if fixed_columns() %}
    left join extras on snapshots.customer_id = extras.extras_of
    {%- endif %}

)

select * from grouped
