with

source as (

    {{ cleaned_rows('products') }}

),

localised as (

    select
        product_id,
        name,
        category,
        department,
        brand,
        cast(list_price as decimal(18, 4)) as list_price,
        _source,
        _batch
    from source

)

select * from localised
