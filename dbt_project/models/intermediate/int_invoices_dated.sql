with

invoices as (

    select
        stg_invoices.*,
        coalesce(contacts.account_id, stg_invoices.customer_id) as account_id
    from {{ ref('stg_invoices') }} as stg_invoices
    left join {{ ref('int_contacts') }} as contacts on stg_invoices.customer_id = contacts.customer_id

),

-- a credit note is owed to the customer and never overdue
dated as (

    select
        invoice_id,
        account_id as customer_id,
        amount,
        issued_date,
        case when amount < 0 then null else due_date end as due_date,
        paid_date,
        dunned_date,
        disputed_date
    from invoices

)

select * from dated
