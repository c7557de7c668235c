with

source as (

    {{ cleaned_rows('invoices') }}

),

localised as (

    select
        invoice_id,
        customer_id,
        issued_at,
        due_at,
        paid_at,
        dunned_at,
        disputed_at,
        cast(amount as decimal(18, 4)) as amount,
        {{ local_day('issued_at') }} as issued_date,
        {{ local_day('due_at') }} as due_date,
        {{ local_day('paid_at') }} as paid_date,
        {{ local_day('dunned_at') }} as dunned_date,
        {{ local_day('disputed_at') }} as disputed_date,
        _source,
        _batch
    from source

)

select * from localised
