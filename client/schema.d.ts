/** Generated from src/http/contract by `npm run api`: change the contract, not this file. */

export interface paths {
    "/api/v1/auth/register": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Make an account */
        post: operations["register"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/auth/login": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Log in
         * @description Unknown, disabled and wrong get the same answer in the same time.
         */
        post: operations["login"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/auth/refresh": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Exchange a refresh token for a new session
         * @description Each refresh token works once. A token that comes a second time was copied: all tokens of its login end. One login is refreshed at most 30 times a minute.
         */
        post: operations["refresh"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/auth/logout": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * End a session
         * @description Ends all refresh tokens of the login. The answer does not tell whether the token was known.
         */
        post: operations["logout"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/users/me": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read the own account */
        get: operations["readMe"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/users/me/password": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Change the own password
         * @description Ends every other session of the account.
         */
        post: operations["changePassword"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/users": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List accounts */
        get: operations["listUsers"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/users/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        /**
         * Change an account's role, disable or enable it
         * @description The account loses what it may no longer do at once, and its sessions end.
         */
        patch: operations["patchUser"];
        trace?: never;
    };
    "/api/v1/products": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List products */
        get: operations["listProducts"];
        put?: never;
        /** Make a product */
        post: operations["createProduct"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/products/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read a product */
        get: operations["readProduct"];
        put?: never;
        post?: never;
        /**
         * Take a product out of the shop
         * @description Orders keep it. Refused while a spike event of it is a draft, published or paused.
         */
        delete: operations["deleteProduct"];
        options?: never;
        head?: never;
        /** Change a product */
        patch: operations["patchProduct"];
        trace?: never;
    };
    "/api/v1/products/{id}/inventory": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read a product's inventory */
        get: operations["readInventory"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/products/{id}/inventory/adjustments": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List a product's ledger, the newest first */
        get: operations["listInventoryMovements"];
        put?: never;
        /** Add units to the inventory or take some out */
        post: operations["adjustInventory"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/spike-events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List spike events, the last to end first
         * @description Drafts are listed with `state=draft` only, and for viewers, operators and admins only.
         */
        get: operations["listSpikeEvents"];
        put?: never;
        /** Draft a spike event */
        post: operations["createSpikeEvent"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/spike-events/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read a spike event with its remaining units
         * @description A draft is there for viewers, operators and admins only.
         */
        get: operations["readSpikeEvent"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        /**
         * Change a spike event
         * @description A draft may be changed in everything but its product. Once it is published, only `payment_window_s` may change, for orders made from then on: price, window, stock and limits are what buyers were promised.
         */
        patch: operations["patchSpikeEvent"];
        trace?: never;
    };
    "/api/v1/spike-events/{id}/publish": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Publish a draft
         * @description Rings the stock off the inventory and opens the gate; buying begins at start_at. NOT_FOUND with a product_id: the product was deleted meanwhile. SALE_ENDED: end_at is over.
         */
        post: operations["publishSpikeEvent"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/spike-events/{id}/pause": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Pause a sale
         * @description Purchases are refused with SALE_PAUSED until it is resumed.
         */
        post: operations["pauseSpikeEvent"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/spike-events/{id}/resume": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Resume a paused sale
         * @description Purchases go on.
         */
        post: operations["resumeSpikeEvent"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/spike-events/{id}/end": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * End a sale
         * @description Free units go back to the inventory; unpaid orders keep their deadline.
         */
        post: operations["endSpikeEvent"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/spike-events/{id}/rebuild": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Rebuild an event's Redis state from PostgreSQL
         * @description Closes the gate, raises the epoch, swaps in what PostgreSQL says, keeps reservations that are in flight.
         */
        post: operations["rebuildSpikeEvent"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/spike-events/{id}/repair": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Compare the stores and repair what they disagree on
         * @description Holds every reservation in Redis against PostgreSQL, which is right. What is in flight is no finding. Repairs go by reservation and can be repeated; what none of them explains takes a rebuild. The workers do the same by themselves. Walks over every reservation of the event, so it may take seconds for a big one.
         */
        post: operations["repairSpikeEvent"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/spike-events/{id}/stock": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Add units to a running sale or cut some
         * @description A row of the stock ledger in PostgreSQL first, applied to Redis once by its id: at once or, if Redis is away, within seconds of its return. Added units come out of the product's inventory, cut ones go back to it. Only units without an order can be cut; reservations that have no order yet may then be voided as `sold_out`. An event grants 1,000,000 units at most (STOCK_LIMIT). A request that is sent again without an Idempotency-Key is a second adjustment.
         */
        post: operations["adjustSpikeStock"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/spike-events/{id}/conservation": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Is every unit accounted for?
         * @description Reads PostgreSQL in one snapshot, then Redis. The invariants are those that the stores alone can show: 1, 2, 4 and 6 hold at any moment; 3 (drift) compares both stores and is exact only while nothing is in flight, so it may fail for a moment during a sale; 7 needs running workers. Walks over every reservation of the event, so it may take seconds for a big one.
         */
        get: operations["readConservation"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/spike-events/{id}/report": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What a sale brought
         * @description Zeros for a draft. Walks over every reservation and order of the event.
         */
        get: operations["readReport"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/spike-events/{id}/orders": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Buy units of a spike event
         * @description Takes the units at once and answers before the order is made. `queued` is durable; `reserving` is not confirmed by the broker yet and gets its answer as well.
         */
        post: operations["buy"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/reservations/{rid}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What became of a reservation */
        get: operations["readReservation"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/reservations/{rid}/stream": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Every change of a reservation until the final one
         * @description Server-sent events named `reservation`, each with the data of `GET /reservations/:rid` and its status as id: the present state first, then every step forward; the stream ends after `ordered` or `void`. Steps that follow each other at once may come as one. A stream that ends before that is to be opened again. A comment every 15 s keeps proxies awake. A buyer may keep 10 streams open at a process.
         */
        get: operations["streamReservation"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/orders": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List the own orders */
        get: operations["listOrders"];
        put?: never;
        /**
         * Order products outside a sale
         * @description Order and inventory change in one transaction. It has to be paid within 15 minutes.
         */
        post: operations["createOrder"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/orders/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read an own order with its payments and refunds */
        get: operations["readOrder"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/orders/{id}/timeline": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What happened to an own order */
        get: operations["readTimeline"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/orders/{id}/cancel": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Cancel an own unpaid order
         * @description Its units go back. A cancelled order of a sale counts against `lapse_limit`.
         */
        post: operations["cancelOrder"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/orders/{id}/payments": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Pay an own order
         * @description The provider is asked to take the money and calls back. A second call while a payment is open pays once. `outcome` chooses what the simulated provider does; it is refused in prod.
         */
        post: operations["startPayment"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/payments/callback": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * The provider's word on a payment or a refund
         * @description Signed in `x-payment-signature`: `t=<ms since 1970>,v1=<hex HMAC-SHA256 of "t.body">`, at most 5 minutes old. Applied once by its transaction id.
         */
        post: operations["paymentCallback"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/healthz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The process runs */
        get: operations["healthz"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/readyz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The process can serve now
         * @description When it can not, the `data` of `NOT_READY` has the `status` `not_ready` and the same `checks`, which say why.
         */
        get: operations["readyz"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/metrics": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Metrics in the format of Prometheus */
        get: operations["metrics"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/openapi.json": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** This document */
        get: operations["openapi"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/docs": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** This document as a page */
        get: operations["docs"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/docs/{file}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Scripts and styles of the page */
        get: operations["docsAsset"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        Session: {
            access_token: string;
            /** @constant */
            token_type: "Bearer";
            /** @description Seconds until the access token ends. */
            expires_in: number;
            /** @description Good for one refresh; keep the one that comes back. */
            refresh_token: string;
            /** @description Seconds until the refresh token ends. */
            refresh_expires_in: number;
            /** @description Send it with the next login from this device: tries of others do not count against it. */
            device_token: string;
            user: components["schemas"]["User"];
        };
        /** @description An account, as its owner sees it. */
        User: {
            /** Format: uuid */
            id: string;
            email: string;
            /** @enum {string} */
            role: "user" | "viewer" | "operator" | "admin";
        };
        /** @description An account, as an admin sees it. */
        Account: {
            /** Format: uuid */
            id: string;
            email: string;
            /** @enum {string} */
            role: "user" | "viewer" | "operator" | "admin";
            disabled: boolean;
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            updated_at: string;
        };
        Product: {
            /** Format: uuid */
            id: string;
            sku: string;
            name: string;
            description: string;
            /** @description Minor units of the currency. */
            price: number;
            currency: string;
            version: number;
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            updated_at: string;
        };
        /** @description Units that are free to sell or to grant to a spike event. */
        Inventory: {
            /** Format: uuid */
            product_id: string;
            stock: number;
            version: number;
            /** Format: date-time */
            updated_at: string;
        };
        /** @description Row of a product's ledger; the deltas add up to its stock. */
        InventoryMovement: {
            /** Format: uuid */
            id: string;
            /** Format: uuid */
            product_id: string;
            delta: number;
            reason: string;
            reference: string | null;
            actor_id: string | null;
            /** Format: date-time */
            created_at: string;
        };
        SpikeEvent: {
            /** Format: uuid */
            id: string;
            /** Format: uuid */
            product_id: string;
            /** @enum {string} */
            state: "draft" | "published" | "live" | "paused" | "ended";
            /** Format: date-time */
            start_at: string;
            /** Format: date-time */
            end_at: string;
            spike_price: number;
            currency: string;
            /** @description Units granted; of a draft, units asked for. */
            stock: number;
            /** @description Units that Redis has left; null without a gate, or while Redis is away. */
            remaining: number | null;
            payment_window_s: number;
            per_user_limit: number;
            lapse_limit: number;
            version: number;
            /**
             * Format: date-time
             * @description The database's clock, for countdowns.
             */
            server_time: string;
        };
        Repair: {
            /** Format: uuid */
            event_id: string;
            dry_run: boolean;
            /** @description available - in_flight - pending_releases - stock in Redis, before the repair; null without a gate. */
            drift: number | null;
            /** @description Numbers of what the stores disagreed on, twice, a second apart. */
            findings: {
                [key: string]: number;
            };
            /** @description The first 100 of them that lie with a single reservation. */
            reservations: {
                /** Format: uuid */
                reservation_id: string;
                /** @enum {string} */
                kind: "unconfirmed" | "unpaid" | "unheld" | "unreleased" | "barred" | "released_alive" | "unfounded" | "stranded" | "lost" | "miscounted" | "misgranted";
                /** @enum {string} */
                redis: "held" | "queued" | "confirmed" | "paid" | "released" | "absent";
                /** @enum {string} */
                postgres: "undecided" | "live" | "gone" | "absent";
            }[];
            /** @description Repairs of single reservations that changed something. */
            repaired: {
                [key: string]: number;
            };
            /** @description The event was rebuilt, as for findings that no single reservation explains. */
            rebuilt: boolean;
        };
        /** @description The invariants of a sale as numbers. */
        Conservation: {
            /** Format: uuid */
            event_id: string;
            /** @description T: the sum of the event’s stock ledger. */
            granted: number;
            /** @description A: granted units without a live claim. */
            available: number;
            /** @description Units of live claims: of orders that are pending or paid. */
            live: number;
            /** @description Units of pending orders. */
            pending: number;
            /** @description Units of paid orders. */
            paid: number;
            /** @description Numbers of Redis, one atomic read; null when the event has no gate. */
            redis: {
                granted: number;
                stock: number;
                held: number;
                queued: number;
                confirmed: number;
                paid: number;
                released: number;
            } | null;
            /** @description Held in Redis, without a verdict. */
            in_flight: number;
            /** @description Void or closed in PostgreSQL, not yet released in Redis. */
            pending_releases: number;
            /** @description available - in_flight - pending_releases - stock in Redis; null without a gate. */
            drift: number | null;
            /** @description Units of live claims beyond the granted ones. */
            oversold: number;
            invariants: {
                /** @description Begins with its number in the documentation. */
                name: string;
                holds: boolean;
                /** @description The numbers that it was judged on. */
                shown_by: string;
            }[];
            /**
             * Format: date-time
             * @description When PostgreSQL was read, by the database's clock.
             */
            as_of: string;
        };
        SaleReport: {
            event: components["schemas"]["SpikeEvent"];
            /** @description A unit that was let go and sold again counts once for each sale. */
            units: {
                /** @description Ever granted: at publishing and by later additions. */
                granted: number;
                /** @description Given back to the inventory: by cuts, and at the end of the sale. */
                returned: number;
                /** @description Of all orders ever made: paid + pending + released. */
                sold: number;
                paid: number;
                pending: number;
                /** @description Let go again by their orders, which lapsed or were cancelled. */
                released: number;
            };
            /** @description Paid units by units ever granted, 0 to 1. */
            sell_through: number;
            /** @description Numbers of orders: `made` is the sum of the others, which tell their states now. */
            orders: {
                made: number;
                pending: number;
                paid: number;
                refunded: number;
                lapsed: number;
                cancelled: number;
            };
            /** @description Units that were sold again after they had come back. A unit that was never sold is taken to go first, so these are the units of orders beyond all that was granted until then. */
            second_sales: number;
            /** @description Purchase requests that reached the gate, counted best effort: written once a second, lost with Redis. Requests that were refused before (no gate, limits, overload) are not in it. */
            requests: {
                accepted: number;
                /** @description By error name. */
                rejected: {
                    [key: string]: number;
                };
            };
            /** @description Reservations that PostgreSQL has received, by verdict. */
            reservations: {
                undecided: number;
                ordered: number;
                void: number;
            };
            /** @description Reservations that got no order, by reason. */
            voids: {
                [key: string]: number;
            };
            /** @description The busiest second of each; null when there was none. Rejected requests are counted like `requests`. */
            peak: {
                reservations: {
                    /** Format: date-time */
                    second: string;
                    count: number;
                } | null;
                orders: {
                    /** Format: date-time */
                    second: string;
                    count: number;
                } | null;
                rejected: {
                    /** Format: date-time */
                    second: string;
                    count: number;
                } | null;
            };
            /** @description From start_at to the order that first left no unit free; null when none did. */
            sold_out_after_ms: number | null;
            /** @description From the reservation to its verdict; null before the first one. */
            decision_ms: {
                p50: number;
                p90: number;
                p99: number;
                max: number;
            } | null;
            /** @description Money taken; of it what has to be given back, with the number of refunds, done or open. */
            revenue: {
                captured: number;
                refunded: number;
                refunds: number;
                currency: string;
            };
            /** @description From the first order to the last one made or closed, in equal steps, at most about 120 of them; steps in which nothing happened are left out. Null while there is no order. */
            course: {
                step_seconds: number;
                points: {
                    /**
                     * Format: date-time
                     * @description Begin of the step.
                     */
                    at: string;
                    /** @description Orders made in it. */
                    orders: number;
                    /** @description Units without a live claim at its end. */
                    free: number;
                }[];
            } | null;
            /** @description Generation of the event's Redis state: 0 in a draft, then 1, and one more for each rebuild. */
            epoch: number;
            /** @description What was done to the event, by action of the audit log: `pause`, `stock`, `rebuild`, `repair` ... */
            actions: {
                [key: string]: number;
            };
            conservation: components["schemas"]["Conservation"];
        };
        /** @description A unit is held for the buyer. */
        Taken: {
            /** Format: uuid */
            reservation_id: string;
            /** @enum {string} */
            status: "queued" | "reserving";
            poll_after_ms: number;
        };
        /** @description `ordered` and `void` are final. */
        Reservation: {
            /** Format: uuid */
            reservation_id: string;
            /** @enum {string} */
            status: "reserving" | "queued";
            poll_after_ms: number;
        } | {
            /** Format: uuid */
            reservation_id: string;
            /** @constant */
            status: "ordered";
            /** Format: uuid */
            order_id: string;
            /**
             * Format: date-time
             * @description Until when the order has to be paid.
             */
            expires_at: string;
        } | {
            /** Format: uuid */
            reservation_id: string;
            /** @constant */
            status: "void";
            /**
             * @description `expired`: the reservation got lost on its way; the unit is free again, so try again.
             * @enum {string}
             */
            reason: "sold_out" | "duplicate" | "lapse_limit" | "unknown_event" | "unknown_buyer" | "expired";
        };
        OrderDetail: {
            /** Format: uuid */
            id: string;
            /** @enum {string} */
            kind: "spike" | "ordinary";
            event_id: string | null;
            reservation_id: string | null;
            /** @enum {string} */
            status: "pending" | "paid" | "closed" | "refunded";
            close_reason: ("lapsed" | "cancelled") | null;
            amount: number;
            currency: string;
            items: {
                /** Format: uuid */
                product_id: string;
                quantity: number;
                unit_price: number;
            }[];
            /**
             * Format: date-time
             * @description Until when a pending order has to be paid.
             */
            expires_at: string;
            paid_at: string | null;
            closed_at: string | null;
            /** Format: date-time */
            created_at: string;
            payments: {
                /** Format: uuid */
                id: string;
                /** @enum {string} */
                status: "pending" | "captured" | "failed";
                amount: number;
                currency: string;
                /** Format: date-time */
                created_at: string;
            }[];
            refunds: {
                /** Format: uuid */
                id: string;
                amount: number;
                currency: string;
                /** @enum {string} */
                reason: "order_closed" | "already_paid";
                /** @enum {string} */
                status: "open" | "done";
                /** Format: date-time */
                created_at: string;
                done_at: string | null;
            }[];
        };
        Order: {
            /** Format: uuid */
            id: string;
            /** @enum {string} */
            kind: "spike" | "ordinary";
            event_id: string | null;
            reservation_id: string | null;
            /** @enum {string} */
            status: "pending" | "paid" | "closed" | "refunded";
            close_reason: ("lapsed" | "cancelled") | null;
            amount: number;
            currency: string;
            items: {
                /** Format: uuid */
                product_id: string;
                quantity: number;
                unit_price: number;
            }[];
            /**
             * Format: date-time
             * @description Until when a pending order has to be paid.
             */
            expires_at: string;
            paid_at: string | null;
            closed_at: string | null;
            /** Format: date-time */
            created_at: string;
        };
        /** @description All that happened to an order, the oldest first. */
        Timeline: {
            /** Format: uuid */
            order_id: string;
            entries: {
                /** Format: date-time */
                at: string;
                /** @description For example `reserved`, `ordered`, `payment_started`, `paid`, `closed`. */
                what: string;
                detail: {
                    [key: string]: string | number | null;
                };
            }[];
        };
        Readiness: {
            /** @constant */
            status: "ready";
            /** @description Inside INTERNAL_NETWORKS only. */
            checks?: {
                [key: string]: "ok" | "down";
            };
        };
        /** @description A refusal. */
        Error: {
            /** @description HTTP status x 100 + n. */
            code: number;
            /** @description Stable name, to switch on. */
            error: string;
            /** @description For people; not part of the contract. */
            message: string;
            /** @description What the error is about, for some errors. */
            data?: Record<string, never>;
            request_id: string;
        };
    };
    responses: {
        /** @description `VALIDATION_FAILED`: The request is not valid. */
        VALIDATION_FAILED: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 40000;
                    /** @enum {unknown} */
                    error: "VALIDATION_FAILED";
                };
            };
        };
        /** @description `EMAIL_TAKEN`: There is an account with this e-mail. */
        EMAIL_TAKEN: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 40907;
                    /** @enum {unknown} */
                    error: "EMAIL_TAKEN";
                };
            };
        };
        /** @description `PAYLOAD_TOO_LARGE`: The request body is too large. */
        PAYLOAD_TOO_LARGE: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 41300;
                    /** @enum {unknown} */
                    error: "PAYLOAD_TOO_LARGE";
                };
            };
        };
        /** @description `UNSUPPORTED_MEDIA_TYPE`: The request body must be application/json in UTF-8. */
        UNSUPPORTED_MEDIA_TYPE: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 41500;
                    /** @enum {unknown} */
                    error: "UNSUPPORTED_MEDIA_TYPE";
                };
            };
        };
        /** @description `RATE_LIMITED`: Too many requests. */
        RATE_LIMITED: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "Retry-After": components["headers"]["Retry-After"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 42900;
                    /** @enum {unknown} */
                    error: "RATE_LIMITED";
                };
            };
        };
        /** @description `INTERNAL`: Something went wrong on our side. */
        INTERNAL: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 50000;
                    /** @enum {unknown} */
                    error: "INTERNAL";
                };
            };
        };
        /**
         * @description `NOT_READY`: The service is not ready; try again shortly.
         *
         *     `OVERLOADED`: Too much is going on; try again shortly.
         */
        "NOT_READY.OVERLOADED": {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "Retry-After": components["headers"]["Retry-After"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 50302 | 50303;
                    /** @enum {unknown} */
                    error: "NOT_READY" | "OVERLOADED";
                };
            };
        };
        /** @description `INVALID_CREDENTIALS`: E-mail or password is wrong. */
        INVALID_CREDENTIALS: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 40101;
                    /** @enum {unknown} */
                    error: "INVALID_CREDENTIALS";
                };
            };
        };
        /** @description `INVALID_REFRESH_TOKEN`: The refresh token is unknown, used, revoked or too old: log in again. */
        INVALID_REFRESH_TOKEN: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 40103;
                    /** @enum {unknown} */
                    error: "INVALID_REFRESH_TOKEN";
                };
            };
        };
        /** @description `UNAUTHENTICATED`: A valid token is required. */
        UNAUTHENTICATED: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 40100;
                    /** @enum {unknown} */
                    error: "UNAUTHENTICATED";
                };
            };
        };
        /**
         * @description `UNAUTHENTICATED`: A valid token is required.
         *
         *     `INVALID_CREDENTIALS`: E-mail or password is wrong.
         */
        "UNAUTHENTICATED.INVALID_CREDENTIALS": {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 40100 | 40101;
                    /** @enum {unknown} */
                    error: "UNAUTHENTICATED" | "INVALID_CREDENTIALS";
                };
            };
        };
        /** @description `FORBIDDEN`: Your role does not allow this. */
        FORBIDDEN: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 40300;
                    /** @enum {unknown} */
                    error: "FORBIDDEN";
                };
            };
        };
        /** @description `NOT_FOUND`: There is no such thing. */
        NOT_FOUND: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 40400;
                    /** @enum {unknown} */
                    error: "NOT_FOUND";
                };
            };
        };
        /** @description `LAST_ADMIN`: One admin has to remain. */
        LAST_ADMIN: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 40916;
                    /** @enum {unknown} */
                    error: "LAST_ADMIN";
                };
            };
        };
        /**
         * @description `IDEMPOTENCY_IN_FLIGHT`: A request with this Idempotency-Key is under way.
         *
         *     `SKU_TAKEN`: There is a product with this SKU.
         */
        "IDEMPOTENCY_IN_FLIGHT.SKU_TAKEN": {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "Retry-After": components["headers"]["Retry-After"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 40912 | 40913;
                    /** @enum {unknown} */
                    error: "IDEMPOTENCY_IN_FLIGHT" | "SKU_TAKEN";
                };
            };
        };
        /** @description `IDEMPOTENCY_MISMATCH`: This Idempotency-Key was used for another request. */
        IDEMPOTENCY_MISMATCH: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 42200;
                    /** @enum {unknown} */
                    error: "IDEMPOTENCY_MISMATCH";
                };
            };
        };
        /** @description `SKU_TAKEN`: There is a product with this SKU. */
        SKU_TAKEN: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 40913;
                    /** @enum {unknown} */
                    error: "SKU_TAKEN";
                };
            };
        };
        /** @description `PRECONDITION_FAILED`: It was changed meanwhile: read it again. */
        PRECONDITION_FAILED: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 41200;
                    /** @enum {unknown} */
                    error: "PRECONDITION_FAILED";
                };
            };
        };
        /** @description `PRECONDITION_REQUIRED`: This request needs an If-Match header with the version that you have seen. */
        PRECONDITION_REQUIRED: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 42800;
                    /** @enum {unknown} */
                    error: "PRECONDITION_REQUIRED";
                };
            };
        };
        /** @description `WRONG_STATE`: This is not possible in the present state. */
        WRONG_STATE: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 40908;
                    /** @enum {unknown} */
                    error: "WRONG_STATE";
                };
            };
        };
        /**
         * @description `INSUFFICIENT_STOCK`: The inventory has too few units.
         *
         *     `IDEMPOTENCY_IN_FLIGHT`: A request with this Idempotency-Key is under way.
         *
         *     `STOCK_LIMIT`: There would be more units than can be counted.
         */
        "INSUFFICIENT_STOCK.IDEMPOTENCY_IN_FLIGHT.STOCK_LIMIT": {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "Retry-After": components["headers"]["Retry-After"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 40909 | 40912 | 40914;
                    /** @enum {unknown} */
                    error: "INSUFFICIENT_STOCK" | "IDEMPOTENCY_IN_FLIGHT" | "STOCK_LIMIT";
                };
            };
        };
        /** @description `IDEMPOTENCY_IN_FLIGHT`: A request with this Idempotency-Key is under way. */
        IDEMPOTENCY_IN_FLIGHT: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "Retry-After": components["headers"]["Retry-After"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 40912;
                    /** @enum {unknown} */
                    error: "IDEMPOTENCY_IN_FLIGHT";
                };
            };
        };
        /**
         * @description `WRONG_STATE`: This is not possible in the present state.
         *
         *     `FROZEN`: This can not be changed once the event is published.
         */
        "WRONG_STATE.FROZEN": {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 40908 | 40915;
                    /** @enum {unknown} */
                    error: "WRONG_STATE" | "FROZEN";
                };
            };
        };
        /**
         * @description `SALE_ENDED`: The sale is over.
         *
         *     `WRONG_STATE`: This is not possible in the present state.
         *
         *     `INSUFFICIENT_STOCK`: The inventory has too few units.
         */
        "SALE_ENDED.WRONG_STATE.INSUFFICIENT_STOCK": {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 40902 | 40908 | 40909;
                    /** @enum {unknown} */
                    error: "SALE_ENDED" | "WRONG_STATE" | "INSUFFICIENT_STOCK";
                };
            };
        };
        /**
         * @description `WRONG_STATE`: This is not possible in the present state.
         *
         *     `INSUFFICIENT_STOCK`: The inventory has too few units.
         *
         *     `IDEMPOTENCY_IN_FLIGHT`: A request with this Idempotency-Key is under way.
         *
         *     `STOCK_LIMIT`: There would be more units than can be counted.
         */
        "WRONG_STATE.INSUFFICIENT_STOCK.IDEMPOTENCY_IN_FLIGHT.STOCK_LIMIT": {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "Retry-After": components["headers"]["Retry-After"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 40908 | 40909 | 40912 | 40914;
                    /** @enum {unknown} */
                    error: "WRONG_STATE" | "INSUFFICIENT_STOCK" | "IDEMPOTENCY_IN_FLIGHT" | "STOCK_LIMIT";
                };
            };
        };
        /**
         * @description `SALE_NOT_STARTED`: The sale has not started yet.
         *
         *     `SALE_ENDED`: The sale is over.
         *
         *     `SOLD_OUT`: All units are sold.
         *
         *     `ALL_HELD`: No unit is free now; unpaid ones may come back.
         *
         *     `ALREADY_PURCHASED`: You have a reservation for this sale already.
         *
         *     `LAPSE_LIMIT`: You let too many orders of this sale go unpaid.
         *
         *     `IDEMPOTENCY_IN_FLIGHT`: A request with this Idempotency-Key is under way.
         */
        "SALE_NOT_STARTED.SALE_ENDED.SOLD_OUT.ALL_HELD.ALREADY_PURCHASED.LAPSE_LIMIT.IDEMPOTENCY_IN_FLIGHT": {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "Retry-After": components["headers"]["Retry-After"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 40901 | 40902 | 40903 | 40904 | 40905 | 40906 | 40912;
                    /** @enum {unknown} */
                    error: "SALE_NOT_STARTED" | "SALE_ENDED" | "SOLD_OUT" | "ALL_HELD" | "ALREADY_PURCHASED" | "LAPSE_LIMIT" | "IDEMPOTENCY_IN_FLIGHT";
                };
            };
        };
        /**
         * @description `SALE_PAUSED`: The sale is paused.
         *
         *     `NOT_READY`: The service is not ready; try again shortly.
         *
         *     `OVERLOADED`: Too much is going on; try again shortly.
         */
        "SALE_PAUSED.NOT_READY.OVERLOADED": {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "Retry-After": components["headers"]["Retry-After"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 50301 | 50302 | 50303;
                    /** @enum {unknown} */
                    error: "SALE_PAUSED" | "NOT_READY" | "OVERLOADED";
                };
            };
        };
        /**
         * @description `VALIDATION_FAILED`: The request is not valid.
         *
         *     `IDEMPOTENCY_KEY_REQUIRED`: This request needs an Idempotency-Key header.
         */
        "VALIDATION_FAILED.IDEMPOTENCY_KEY_REQUIRED": {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 40000 | 40001;
                    /** @enum {unknown} */
                    error: "VALIDATION_FAILED" | "IDEMPOTENCY_KEY_REQUIRED";
                };
            };
        };
        /**
         * @description `INSUFFICIENT_STOCK`: The inventory has too few units.
         *
         *     `IDEMPOTENCY_IN_FLIGHT`: A request with this Idempotency-Key is under way.
         *
         *     `MIXED_CURRENCIES`: All products of an order must have one currency.
         */
        "INSUFFICIENT_STOCK.IDEMPOTENCY_IN_FLIGHT.MIXED_CURRENCIES": {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "Retry-After": components["headers"]["Retry-After"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 40909 | 40912 | 40917;
                    /** @enum {unknown} */
                    error: "INSUFFICIENT_STOCK" | "IDEMPOTENCY_IN_FLIGHT" | "MIXED_CURRENCIES";
                };
            };
        };
        /**
         * @description `ORDER_NOT_PENDING`: The order is not waiting for payment.
         *
         *     `IDEMPOTENCY_IN_FLIGHT`: A request with this Idempotency-Key is under way.
         */
        "ORDER_NOT_PENDING.IDEMPOTENCY_IN_FLIGHT": {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "Retry-After": components["headers"]["Retry-After"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 40910 | 40912;
                    /** @enum {unknown} */
                    error: "ORDER_NOT_PENDING" | "IDEMPOTENCY_IN_FLIGHT";
                };
            };
        };
        /** @description `VALIDATION_FAILED`: The request is not valid. */
        "VALIDATION_FAILED.unlimited": {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 40000;
                    /** @enum {unknown} */
                    error: "VALIDATION_FAILED";
                };
            };
        };
        /** @description `INVALID_SIGNATURE`: The signature is missing, wrong or too old. */
        "INVALID_SIGNATURE.unlimited": {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 40102;
                    /** @enum {unknown} */
                    error: "INVALID_SIGNATURE";
                };
            };
        };
        /** @description `NOT_FOUND`: There is no such thing. */
        "NOT_FOUND.unlimited": {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 40400;
                    /** @enum {unknown} */
                    error: "NOT_FOUND";
                };
            };
        };
        /** @description `PAYMENT_MISMATCH`: Amount or currency differ from the payment. */
        "PAYMENT_MISMATCH.unlimited": {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 40911;
                    /** @enum {unknown} */
                    error: "PAYMENT_MISMATCH";
                };
            };
        };
        /** @description `PAYLOAD_TOO_LARGE`: The request body is too large. */
        "PAYLOAD_TOO_LARGE.unlimited": {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 41300;
                    /** @enum {unknown} */
                    error: "PAYLOAD_TOO_LARGE";
                };
            };
        };
        /** @description `UNSUPPORTED_MEDIA_TYPE`: The request body must be application/json in UTF-8. */
        "UNSUPPORTED_MEDIA_TYPE.unlimited": {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 41500;
                    /** @enum {unknown} */
                    error: "UNSUPPORTED_MEDIA_TYPE";
                };
            };
        };
        /** @description `INTERNAL`: Something went wrong on our side. */
        "INTERNAL.unlimited": {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 50000;
                    /** @enum {unknown} */
                    error: "INTERNAL";
                };
            };
        };
        /**
         * @description `NOT_READY`: The service is not ready; try again shortly.
         *
         *     `OVERLOADED`: Too much is going on; try again shortly.
         */
        "NOT_READY.OVERLOADED.unlimited": {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "Retry-After": components["headers"]["Retry-After"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 50302 | 50303;
                    /** @enum {unknown} */
                    error: "NOT_READY" | "OVERLOADED";
                };
            };
        };
        /** @description `NOT_READY`: The service is not ready; try again shortly. */
        "NOT_READY.unlimited": {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "Retry-After": components["headers"]["Retry-After"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"] & {
                    /** @enum {unknown} */
                    code: 50302;
                    /** @enum {unknown} */
                    error: "NOT_READY";
                };
            };
        };
    };
    parameters: never;
    requestBodies: never;
    headers: {
        /** @description The request id of the caller when it was harmless, else a new one. */
        "X-Request-Id": string;
        /** @description Seconds after which trying again makes sense. */
        "Retry-After": string;
        /** @description `Bearer`: how to authenticate. */
        "WWW-Authenticate": string;
        /** @description The tighter window of this request: `"name";q=requests;w=seconds`. */
        "RateLimit-Policy": string;
        /** @description What is left of it: `"name";r=requests;t=seconds until it begins anew`. */
        RateLimit: string;
        /** @description `true` when this is the kept answer of an earlier request with the same key. */
        "Idempotent-Replayed": string;
    };
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    register: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": {
                    /** Format: email */
                    email: string;
                    password: string;
                };
            };
        };
        responses: {
            /** @description The account and its first session. */
            201: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: components["schemas"]["Session"];
                        request_id: string;
                    };
                };
            };
            400: components["responses"]["VALIDATION_FAILED"];
            409: components["responses"]["EMAIL_TAKEN"];
            413: components["responses"]["PAYLOAD_TOO_LARGE"];
            415: components["responses"]["UNSUPPORTED_MEDIA_TYPE"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    login: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": {
                    /** Format: email */
                    email: string;
                    password: string;
                    device_token?: string;
                };
            };
        };
        responses: {
            /** @description A session. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: components["schemas"]["Session"];
                        request_id: string;
                    };
                };
            };
            400: components["responses"]["VALIDATION_FAILED"];
            401: components["responses"]["INVALID_CREDENTIALS"];
            413: components["responses"]["PAYLOAD_TOO_LARGE"];
            415: components["responses"]["UNSUPPORTED_MEDIA_TYPE"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    refresh: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": {
                    refresh_token: string;
                };
            };
        };
        responses: {
            /** @description A new session. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: components["schemas"]["Session"];
                        request_id: string;
                    };
                };
            };
            400: components["responses"]["VALIDATION_FAILED"];
            401: components["responses"]["INVALID_REFRESH_TOKEN"];
            413: components["responses"]["PAYLOAD_TOO_LARGE"];
            415: components["responses"]["UNSUPPORTED_MEDIA_TYPE"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    logout: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": {
                    refresh_token: string;
                };
            };
        };
        responses: {
            /** @description The session has ended. */
            204: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["VALIDATION_FAILED"];
            413: components["responses"]["PAYLOAD_TOO_LARGE"];
            415: components["responses"]["UNSUPPORTED_MEDIA_TYPE"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    readMe: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The account. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: components["schemas"]["User"];
                        request_id: string;
                    };
                };
            };
            401: components["responses"]["UNAUTHENTICATED"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    changePassword: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": {
                    current_password: string;
                    new_password: string;
                };
            };
        };
        responses: {
            /** @description A new session. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: components["schemas"]["Session"];
                        request_id: string;
                    };
                };
            };
            400: components["responses"]["VALIDATION_FAILED"];
            401: components["responses"]["UNAUTHENTICATED.INVALID_CREDENTIALS"];
            413: components["responses"]["PAYLOAD_TOO_LARGE"];
            415: components["responses"]["UNSUPPORTED_MEDIA_TYPE"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    listUsers: {
        parameters: {
            query?: {
                page?: number;
                page_size?: number;
                /** @description Part of the e-mail. */
                q?: string;
                role?: "user" | "viewer" | "operator" | "admin";
                disabled?: "true" | "false";
                /** @description `field,asc` or `field,desc`; fields: email, created_at */
                sort?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page of accounts. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: {
                            items: components["schemas"]["Account"][];
                            page: number;
                            page_size: number;
                            total: number;
                        };
                        request_id: string;
                    };
                };
            };
            400: components["responses"]["VALIDATION_FAILED"];
            401: components["responses"]["UNAUTHENTICATED"];
            403: components["responses"]["FORBIDDEN"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    patchUser: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": {
                    /** @enum {string} */
                    role?: "user" | "viewer" | "operator" | "admin";
                    disabled?: boolean;
                };
            };
        };
        responses: {
            /** @description The account. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: components["schemas"]["Account"];
                        request_id: string;
                    };
                };
            };
            400: components["responses"]["VALIDATION_FAILED"];
            401: components["responses"]["UNAUTHENTICATED"];
            403: components["responses"]["FORBIDDEN"];
            404: components["responses"]["NOT_FOUND"];
            409: components["responses"]["LAST_ADMIN"];
            413: components["responses"]["PAYLOAD_TOO_LARGE"];
            415: components["responses"]["UNSUPPORTED_MEDIA_TYPE"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    listProducts: {
        parameters: {
            query?: {
                page?: number;
                page_size?: number;
                /** @description Part of the name or the SKU, in any case. */
                q?: string;
                currency?: string;
                min_price?: number;
                max_price?: number;
                /** @description `field,asc` or `field,desc`; fields: name, price, created_at */
                sort?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page of products. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: {
                            items: components["schemas"]["Product"][];
                            page: number;
                            page_size: number;
                            total: number;
                        };
                        request_id: string;
                    };
                };
            };
            400: components["responses"]["VALIDATION_FAILED"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    createProduct: {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeats of the same request with the same key get the answer of the first; kept for 24 hours, 1,000 a user. */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": {
                    sku: string;
                    name: string;
                    /** @default  */
                    description?: string;
                    price: number;
                    /** @default CNY */
                    currency?: string;
                    /**
                     * @description Units in the inventory to begin with.
                     * @default 0
                     */
                    stock?: number;
                };
            };
        };
        responses: {
            /** @description The product. */
            201: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Idempotent-Replayed": components["headers"]["Idempotent-Replayed"];
                    /** @description The version; send it back as If-Match or If-None-Match. */
                    ETag?: string;
                    /** @description Path of the product. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: components["schemas"]["Product"];
                        request_id: string;
                    };
                };
            };
            400: components["responses"]["VALIDATION_FAILED"];
            401: components["responses"]["UNAUTHENTICATED"];
            403: components["responses"]["FORBIDDEN"];
            409: components["responses"]["IDEMPOTENCY_IN_FLIGHT.SKU_TAKEN"];
            413: components["responses"]["PAYLOAD_TOO_LARGE"];
            415: components["responses"]["UNSUPPORTED_MEDIA_TYPE"];
            422: components["responses"]["IDEMPOTENCY_MISMATCH"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    readProduct: {
        parameters: {
            query?: never;
            header?: {
                /** @description The ETag of what the client has. */
                "If-None-Match"?: string;
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The product. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    /** @description The version; send it back as If-Match or If-None-Match. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: components["schemas"]["Product"];
                        request_id: string;
                    };
                };
            };
            /** @description The version of If-None-Match is the present one. */
            304: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    /** @description The version; send it back as If-Match or If-None-Match. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["VALIDATION_FAILED"];
            404: components["responses"]["NOT_FOUND"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    deleteProduct: {
        parameters: {
            query?: never;
            header: {
                /** @description The ETag of the version that was read, or `*`. */
                "If-Match": string;
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The product is gone from lists and can not be bought any more. */
            204: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["VALIDATION_FAILED"];
            401: components["responses"]["UNAUTHENTICATED"];
            403: components["responses"]["FORBIDDEN"];
            404: components["responses"]["NOT_FOUND"];
            409: components["responses"]["WRONG_STATE"];
            412: components["responses"]["PRECONDITION_FAILED"];
            413: components["responses"]["PAYLOAD_TOO_LARGE"];
            415: components["responses"]["UNSUPPORTED_MEDIA_TYPE"];
            428: components["responses"]["PRECONDITION_REQUIRED"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    patchProduct: {
        parameters: {
            query?: never;
            header: {
                /** @description The ETag of the version that was read, or `*`. */
                "If-Match": string;
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": {
                    sku?: string;
                    name?: string;
                    description?: string;
                    price?: number;
                };
            };
        };
        responses: {
            /** @description The product. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    /** @description The version; send it back as If-Match or If-None-Match. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: components["schemas"]["Product"];
                        request_id: string;
                    };
                };
            };
            400: components["responses"]["VALIDATION_FAILED"];
            401: components["responses"]["UNAUTHENTICATED"];
            403: components["responses"]["FORBIDDEN"];
            404: components["responses"]["NOT_FOUND"];
            409: components["responses"]["SKU_TAKEN"];
            412: components["responses"]["PRECONDITION_FAILED"];
            413: components["responses"]["PAYLOAD_TOO_LARGE"];
            415: components["responses"]["UNSUPPORTED_MEDIA_TYPE"];
            428: components["responses"]["PRECONDITION_REQUIRED"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    readInventory: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The inventory. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: components["schemas"]["Inventory"];
                        request_id: string;
                    };
                };
            };
            400: components["responses"]["VALIDATION_FAILED"];
            404: components["responses"]["NOT_FOUND"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    listInventoryMovements: {
        parameters: {
            query?: {
                page?: number;
                page_size?: number;
            };
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page of the ledger. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: {
                            items: components["schemas"]["InventoryMovement"][];
                            page: number;
                            page_size: number;
                            total: number;
                        };
                        request_id: string;
                    };
                };
            };
            400: components["responses"]["VALIDATION_FAILED"];
            401: components["responses"]["UNAUTHENTICATED"];
            403: components["responses"]["FORBIDDEN"];
            404: components["responses"]["NOT_FOUND"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    adjustInventory: {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeats of the same request with the same key get the answer of the first; kept for 24 hours, 1,000 a user. */
                "Idempotency-Key"?: string;
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": {
                    delta: number;
                    reason: string;
                };
            };
        };
        responses: {
            /** @description The inventory after it. */
            201: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Idempotent-Replayed": components["headers"]["Idempotent-Replayed"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: components["schemas"]["Inventory"];
                        request_id: string;
                    };
                };
            };
            400: components["responses"]["VALIDATION_FAILED"];
            401: components["responses"]["UNAUTHENTICATED"];
            403: components["responses"]["FORBIDDEN"];
            404: components["responses"]["NOT_FOUND"];
            409: components["responses"]["INSUFFICIENT_STOCK.IDEMPOTENCY_IN_FLIGHT.STOCK_LIMIT"];
            413: components["responses"]["PAYLOAD_TOO_LARGE"];
            415: components["responses"]["UNSUPPORTED_MEDIA_TYPE"];
            422: components["responses"]["IDEMPOTENCY_MISMATCH"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    listSpikeEvents: {
        parameters: {
            query?: {
                page?: number;
                page_size?: number;
                state?: "draft" | "published" | "live" | "paused" | "ended";
                product_id?: string;
                currency?: string;
                /** @description `field,asc` or `field,desc`; fields: start_at, end_at, spike_price */
                sort?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page of events. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: {
                            items: components["schemas"]["SpikeEvent"][];
                            page: number;
                            page_size: number;
                            total: number;
                        };
                        request_id: string;
                    };
                };
            };
            400: components["responses"]["VALIDATION_FAILED"];
            401: components["responses"]["UNAUTHENTICATED"];
            403: components["responses"]["FORBIDDEN"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    createSpikeEvent: {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeats of the same request with the same key get the answer of the first; kept for 24 hours, 1,000 a user. */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": {
                    /** Format: uuid */
                    product_id: string;
                    /** Format: date-time */
                    start_at: string;
                    /** Format: date-time */
                    end_at: string;
                    spike_price: number;
                    stock: number;
                    /** @description Seconds that a buyer has to pay. */
                    payment_window_s: number;
                    /**
                     * @description Units that one buyer may hold.
                     * @default 1
                     */
                    per_user_limit?: number;
                    /**
                     * @description Orders that one buyer may let go unpaid and still try again.
                     * @default 1
                     */
                    lapse_limit?: number;
                };
            };
        };
        responses: {
            /** @description The draft. */
            201: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Idempotent-Replayed": components["headers"]["Idempotent-Replayed"];
                    /** @description `"<version>.<state>.<remaining>"`; send it back as If-Match or If-None-Match. */
                    ETag?: string;
                    /** @description Path of the event. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: components["schemas"]["SpikeEvent"];
                        request_id: string;
                    };
                };
            };
            400: components["responses"]["VALIDATION_FAILED"];
            401: components["responses"]["UNAUTHENTICATED"];
            403: components["responses"]["FORBIDDEN"];
            404: components["responses"]["NOT_FOUND"];
            409: components["responses"]["IDEMPOTENCY_IN_FLIGHT"];
            413: components["responses"]["PAYLOAD_TOO_LARGE"];
            415: components["responses"]["UNSUPPORTED_MEDIA_TYPE"];
            422: components["responses"]["IDEMPOTENCY_MISMATCH"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    readSpikeEvent: {
        parameters: {
            query?: never;
            header?: {
                /** @description The ETag of what the client has. */
                "If-None-Match"?: string;
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The event. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    /** @description `"<version>.<state>.<remaining>"`; send it back as If-Match or If-None-Match. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: components["schemas"]["SpikeEvent"];
                        request_id: string;
                    };
                };
            };
            /** @description Nothing has changed since If-None-Match, but the time. */
            304: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    /** @description `"<version>.<state>.<remaining>"`; send it back as If-Match or If-None-Match. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["VALIDATION_FAILED"];
            401: components["responses"]["UNAUTHENTICATED"];
            404: components["responses"]["NOT_FOUND"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    patchSpikeEvent: {
        parameters: {
            query?: never;
            header: {
                /** @description The ETag of the version that was read, or `*`. */
                "If-Match": string;
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": {
                    /** Format: date-time */
                    start_at?: string;
                    /** Format: date-time */
                    end_at?: string;
                    spike_price?: number;
                    stock?: number;
                    /** @description Seconds that a buyer has to pay. */
                    payment_window_s?: number;
                    /** @description Units that one buyer may hold. */
                    per_user_limit?: number;
                    /** @description Orders that one buyer may let go unpaid and still try again. */
                    lapse_limit?: number;
                };
            };
        };
        responses: {
            /** @description The event. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    /** @description `"<version>.<state>.<remaining>"`; send it back as If-Match or If-None-Match. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: components["schemas"]["SpikeEvent"];
                        request_id: string;
                    };
                };
            };
            400: components["responses"]["VALIDATION_FAILED"];
            401: components["responses"]["UNAUTHENTICATED"];
            403: components["responses"]["FORBIDDEN"];
            404: components["responses"]["NOT_FOUND"];
            409: components["responses"]["WRONG_STATE.FROZEN"];
            412: components["responses"]["PRECONDITION_FAILED"];
            413: components["responses"]["PAYLOAD_TOO_LARGE"];
            415: components["responses"]["UNSUPPORTED_MEDIA_TYPE"];
            428: components["responses"]["PRECONDITION_REQUIRED"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    publishSpikeEvent: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The event after it. PostgreSQL has it; the gate in Redis has followed or, if Redis is away, follows within seconds of its return. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    /** @description `"<version>.<state>.<remaining>"`; send it back as If-Match or If-None-Match. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: components["schemas"]["SpikeEvent"];
                        request_id: string;
                    };
                };
            };
            400: components["responses"]["VALIDATION_FAILED"];
            401: components["responses"]["UNAUTHENTICATED"];
            403: components["responses"]["FORBIDDEN"];
            404: components["responses"]["NOT_FOUND"];
            409: components["responses"]["SALE_ENDED.WRONG_STATE.INSUFFICIENT_STOCK"];
            413: components["responses"]["PAYLOAD_TOO_LARGE"];
            415: components["responses"]["UNSUPPORTED_MEDIA_TYPE"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    pauseSpikeEvent: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The event after it. PostgreSQL has it; the gate in Redis has followed or, if Redis is away, follows within seconds of its return. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    /** @description `"<version>.<state>.<remaining>"`; send it back as If-Match or If-None-Match. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: components["schemas"]["SpikeEvent"];
                        request_id: string;
                    };
                };
            };
            400: components["responses"]["VALIDATION_FAILED"];
            401: components["responses"]["UNAUTHENTICATED"];
            403: components["responses"]["FORBIDDEN"];
            404: components["responses"]["NOT_FOUND"];
            409: components["responses"]["WRONG_STATE"];
            413: components["responses"]["PAYLOAD_TOO_LARGE"];
            415: components["responses"]["UNSUPPORTED_MEDIA_TYPE"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    resumeSpikeEvent: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The event after it. PostgreSQL has it; the gate in Redis has followed or, if Redis is away, follows within seconds of its return. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    /** @description `"<version>.<state>.<remaining>"`; send it back as If-Match or If-None-Match. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: components["schemas"]["SpikeEvent"];
                        request_id: string;
                    };
                };
            };
            400: components["responses"]["VALIDATION_FAILED"];
            401: components["responses"]["UNAUTHENTICATED"];
            403: components["responses"]["FORBIDDEN"];
            404: components["responses"]["NOT_FOUND"];
            409: components["responses"]["WRONG_STATE"];
            413: components["responses"]["PAYLOAD_TOO_LARGE"];
            415: components["responses"]["UNSUPPORTED_MEDIA_TYPE"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    endSpikeEvent: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The event after it. PostgreSQL has it; the gate in Redis has followed or, if Redis is away, follows within seconds of its return. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    /** @description `"<version>.<state>.<remaining>"`; send it back as If-Match or If-None-Match. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: components["schemas"]["SpikeEvent"];
                        request_id: string;
                    };
                };
            };
            400: components["responses"]["VALIDATION_FAILED"];
            401: components["responses"]["UNAUTHENTICATED"];
            403: components["responses"]["FORBIDDEN"];
            404: components["responses"]["NOT_FOUND"];
            409: components["responses"]["WRONG_STATE"];
            413: components["responses"]["PAYLOAD_TOO_LARGE"];
            415: components["responses"]["UNSUPPORTED_MEDIA_TYPE"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    rebuildSpikeEvent: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The event after it. PostgreSQL has it; the gate in Redis has followed or, if Redis is away, follows within seconds of its return. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    /** @description `"<version>.<state>.<remaining>"`; send it back as If-Match or If-None-Match. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: components["schemas"]["SpikeEvent"];
                        request_id: string;
                    };
                };
            };
            400: components["responses"]["VALIDATION_FAILED"];
            401: components["responses"]["UNAUTHENTICATED"];
            403: components["responses"]["FORBIDDEN"];
            404: components["responses"]["NOT_FOUND"];
            409: components["responses"]["WRONG_STATE"];
            413: components["responses"]["PAYLOAD_TOO_LARGE"];
            415: components["responses"]["UNSUPPORTED_MEDIA_TYPE"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    repairSpikeEvent: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": {
                    /**
                     * @description Only report; nothing is changed.
                     * @default true
                     */
                    dry_run?: boolean;
                };
            };
        };
        responses: {
            /** @description What was found, and what was done about it. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: components["schemas"]["Repair"];
                        request_id: string;
                    };
                };
            };
            400: components["responses"]["VALIDATION_FAILED"];
            401: components["responses"]["UNAUTHENTICATED"];
            403: components["responses"]["FORBIDDEN"];
            404: components["responses"]["NOT_FOUND"];
            409: components["responses"]["WRONG_STATE"];
            413: components["responses"]["PAYLOAD_TOO_LARGE"];
            415: components["responses"]["UNSUPPORTED_MEDIA_TYPE"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    adjustSpikeStock: {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeats of the same request with the same key get the answer of the first; kept for 24 hours, 1,000 a user. */
                "Idempotency-Key"?: string;
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": {
                    delta: number;
                    reason: string;
                };
            };
        };
        responses: {
            /** @description The ledger row and the units after it. */
            201: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Idempotent-Replayed": components["headers"]["Idempotent-Replayed"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: {
                            /** Format: uuid */
                            adjustment_id: string;
                            /** Format: uuid */
                            event_id: string;
                            delta: number;
                            granted: number;
                            available: number;
                        };
                        request_id: string;
                    };
                };
            };
            400: components["responses"]["VALIDATION_FAILED"];
            401: components["responses"]["UNAUTHENTICATED"];
            403: components["responses"]["FORBIDDEN"];
            404: components["responses"]["NOT_FOUND"];
            409: components["responses"]["WRONG_STATE.INSUFFICIENT_STOCK.IDEMPOTENCY_IN_FLIGHT.STOCK_LIMIT"];
            413: components["responses"]["PAYLOAD_TOO_LARGE"];
            415: components["responses"]["UNSUPPORTED_MEDIA_TYPE"];
            422: components["responses"]["IDEMPOTENCY_MISMATCH"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    readConservation: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The invariants as numbers. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: components["schemas"]["Conservation"];
                        request_id: string;
                    };
                };
            };
            400: components["responses"]["VALIDATION_FAILED"];
            401: components["responses"]["UNAUTHENTICATED"];
            403: components["responses"]["FORBIDDEN"];
            404: components["responses"]["NOT_FOUND"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    readReport: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The report; final once the sale has ended. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: components["schemas"]["SaleReport"];
                        request_id: string;
                    };
                };
            };
            400: components["responses"]["VALIDATION_FAILED"];
            401: components["responses"]["UNAUTHENTICATED"];
            403: components["responses"]["FORBIDDEN"];
            404: components["responses"]["NOT_FOUND"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    buy: {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeats of the same request with the same key get the answer of the first; kept for 24 hours, 1,000 a user. */
                "Idempotency-Key"?: string;
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": {
                    /** @default 1 */
                    quantity?: number;
                };
            };
        };
        responses: {
            /** @description The units are held; ask for the verdict. */
            202: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Idempotent-Replayed": components["headers"]["Idempotent-Replayed"];
                    /** @description Path of the reservation. */
                    Location?: string;
                    /** @description Seconds until asking makes sense. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: components["schemas"]["Taken"];
                        request_id: string;
                    };
                };
            };
            400: components["responses"]["VALIDATION_FAILED"];
            401: components["responses"]["UNAUTHENTICATED"];
            404: components["responses"]["NOT_FOUND"];
            409: components["responses"]["SALE_NOT_STARTED.SALE_ENDED.SOLD_OUT.ALL_HELD.ALREADY_PURCHASED.LAPSE_LIMIT.IDEMPOTENCY_IN_FLIGHT"];
            413: components["responses"]["PAYLOAD_TOO_LARGE"];
            415: components["responses"]["UNSUPPORTED_MEDIA_TYPE"];
            422: components["responses"]["IDEMPOTENCY_MISMATCH"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["SALE_PAUSED.NOT_READY.OVERLOADED"];
        };
    };
    readReservation: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                rid: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Where it is. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: components["schemas"]["Reservation"];
                        request_id: string;
                    };
                };
            };
            400: components["responses"]["VALIDATION_FAILED"];
            401: components["responses"]["UNAUTHENTICATED"];
            404: components["responses"]["NOT_FOUND"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    streamReservation: {
        parameters: {
            query?: never;
            header?: {
                /** @description The id of the last event that was heard; browsers send it by themselves. */
                "Last-Event-ID"?: string;
            };
            path: {
                rid: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The stream. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": string;
                };
            };
            /** @description Last-Event-ID names the verdict: there is nothing to wait for. */
            204: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["VALIDATION_FAILED"];
            401: components["responses"]["UNAUTHENTICATED"];
            404: components["responses"]["NOT_FOUND"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    listOrders: {
        parameters: {
            query?: {
                page?: number;
                page_size?: number;
                status?: "pending" | "paid" | "closed" | "refunded";
                event_id?: string;
                /** @description `field,asc` or `field,desc`; fields: created_at, amount */
                sort?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page of orders. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: {
                            items: components["schemas"]["Order"][];
                            page: number;
                            page_size: number;
                            total: number;
                        };
                        request_id: string;
                    };
                };
            };
            400: components["responses"]["VALIDATION_FAILED"];
            401: components["responses"]["UNAUTHENTICATED"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    createOrder: {
        parameters: {
            query?: never;
            header: {
                /** @description Repeats of the same request with the same key get the answer of the first; kept for 24 hours, 1,000 a user. */
                "Idempotency-Key": string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": {
                    items: {
                        /** Format: uuid */
                        product_id: string;
                        quantity: number;
                    }[];
                };
            };
        };
        responses: {
            /** @description The order. */
            201: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Idempotent-Replayed": components["headers"]["Idempotent-Replayed"];
                    /** @description Path of the order. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: components["schemas"]["OrderDetail"];
                        request_id: string;
                    };
                };
            };
            400: components["responses"]["VALIDATION_FAILED.IDEMPOTENCY_KEY_REQUIRED"];
            401: components["responses"]["UNAUTHENTICATED"];
            404: components["responses"]["NOT_FOUND"];
            409: components["responses"]["INSUFFICIENT_STOCK.IDEMPOTENCY_IN_FLIGHT.MIXED_CURRENCIES"];
            413: components["responses"]["PAYLOAD_TOO_LARGE"];
            415: components["responses"]["UNSUPPORTED_MEDIA_TYPE"];
            422: components["responses"]["IDEMPOTENCY_MISMATCH"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    readOrder: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The order. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: components["schemas"]["OrderDetail"];
                        request_id: string;
                    };
                };
            };
            400: components["responses"]["VALIDATION_FAILED"];
            401: components["responses"]["UNAUTHENTICATED"];
            404: components["responses"]["NOT_FOUND"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    readTimeline: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The timeline. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: components["schemas"]["Timeline"];
                        request_id: string;
                    };
                };
            };
            400: components["responses"]["VALIDATION_FAILED"];
            401: components["responses"]["UNAUTHENTICATED"];
            404: components["responses"]["NOT_FOUND"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    cancelOrder: {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeats of the same request with the same key get the answer of the first; kept for 24 hours, 1,000 a user. */
                "Idempotency-Key"?: string;
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The order, closed. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Idempotent-Replayed": components["headers"]["Idempotent-Replayed"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: components["schemas"]["OrderDetail"];
                        request_id: string;
                    };
                };
            };
            400: components["responses"]["VALIDATION_FAILED"];
            401: components["responses"]["UNAUTHENTICATED"];
            404: components["responses"]["NOT_FOUND"];
            409: components["responses"]["ORDER_NOT_PENDING.IDEMPOTENCY_IN_FLIGHT"];
            413: components["responses"]["PAYLOAD_TOO_LARGE"];
            415: components["responses"]["UNSUPPORTED_MEDIA_TYPE"];
            422: components["responses"]["IDEMPOTENCY_MISMATCH"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    startPayment: {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeats of the same request with the same key get the answer of the first; kept for 24 hours, 1,000 a user. */
                "Idempotency-Key"?: string;
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": {
                    /** @enum {string} */
                    outcome?: "success" | "failure" | "timeout" | "duplicate" | "late";
                };
            };
        };
        responses: {
            /** @description The payment is under way; read the order for its end. */
            202: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Idempotent-Replayed": components["headers"]["Idempotent-Replayed"];
                    /** @description Path of the order. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: {
                            /** Format: uuid */
                            payment_id: string;
                            /** @constant */
                            status: "pending";
                        };
                        request_id: string;
                    };
                };
            };
            400: components["responses"]["VALIDATION_FAILED"];
            401: components["responses"]["UNAUTHENTICATED"];
            404: components["responses"]["NOT_FOUND"];
            409: components["responses"]["ORDER_NOT_PENDING.IDEMPOTENCY_IN_FLIGHT"];
            413: components["responses"]["PAYLOAD_TOO_LARGE"];
            415: components["responses"]["UNSUPPORTED_MEDIA_TYPE"];
            422: components["responses"]["IDEMPOTENCY_MISMATCH"];
            429: components["responses"]["RATE_LIMITED"];
            500: components["responses"]["INTERNAL"];
            503: components["responses"]["NOT_READY.OVERLOADED"];
        };
    };
    paymentCallback: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": {
                    txn_id: string;
                    /** Format: uuid */
                    payment_id: string;
                    amount: number;
                    currency: string;
                    /** @enum {string} */
                    kind: "captured" | "failed";
                } | {
                    txn_id: string;
                    /** Format: uuid */
                    payment_id: string;
                    amount: number;
                    currency: string;
                    /** @constant */
                    kind: "refunded";
                    /** Format: uuid */
                    refund_id: string;
                };
            };
        };
        responses: {
            /** @description What it did. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: {
                            /** @enum {string} */
                            result: "paid" | "paid_late" | "failed" | "refund_opened" | "refund_done" | "seen_before";
                        };
                        request_id: string;
                    };
                };
            };
            400: components["responses"]["VALIDATION_FAILED.unlimited"];
            401: components["responses"]["INVALID_SIGNATURE.unlimited"];
            404: components["responses"]["NOT_FOUND.unlimited"];
            409: components["responses"]["PAYMENT_MISMATCH.unlimited"];
            413: components["responses"]["PAYLOAD_TOO_LARGE.unlimited"];
            415: components["responses"]["UNSUPPORTED_MEDIA_TYPE.unlimited"];
            500: components["responses"]["INTERNAL.unlimited"];
            503: components["responses"]["NOT_READY.OVERLOADED.unlimited"];
        };
    };
    healthz: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It does. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: {
                            /** @constant */
                            status: "ok";
                        };
                        request_id: string;
                    };
                };
            };
            500: components["responses"]["INTERNAL.unlimited"];
        };
    };
    readyz: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It can. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: 0;
                        message: string;
                        data: components["schemas"]["Readiness"];
                        request_id: string;
                    };
                };
            };
            500: components["responses"]["INTERNAL.unlimited"];
            503: components["responses"]["NOT_READY.unlimited"];
        };
    };
    metrics: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The metrics. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "text/plain": string;
                };
            };
            404: components["responses"]["NOT_FOUND.unlimited"];
            500: components["responses"]["INTERNAL.unlimited"];
        };
    };
    openapi: {
        parameters: {
            query?: never;
            header?: {
                /** @description The ETag of what the client has. */
                "If-None-Match"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OpenAPI 3.1. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    /** @description Of the content; send it back as If-None-Match. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": string;
                };
            };
            /** @description The version of If-None-Match is the present one. */
            304: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    /** @description Of the content; send it back as If-None-Match. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            404: components["responses"]["NOT_FOUND.unlimited"];
            500: components["responses"]["INTERNAL.unlimited"];
            503: components["responses"]["NOT_READY.OVERLOADED.unlimited"];
        };
    };
    docs: {
        parameters: {
            query?: never;
            header?: {
                /** @description The ETag of what the client has. */
                "If-None-Match"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The page. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    /** @description Of the content; send it back as If-None-Match. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "text/html": string;
                };
            };
            /** @description The version of If-None-Match is the present one. */
            304: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    /** @description Of the content; send it back as If-None-Match. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            404: components["responses"]["NOT_FOUND.unlimited"];
            500: components["responses"]["INTERNAL.unlimited"];
            503: components["responses"]["NOT_READY.OVERLOADED.unlimited"];
        };
    };
    docsAsset: {
        parameters: {
            query?: never;
            header?: {
                /** @description The ETag of what the client has. */
                "If-None-Match"?: string;
            };
            path: {
                file: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The file. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    /** @description Of the content; send it back as If-None-Match. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "*/*": string;
                };
            };
            /** @description The version of If-None-Match is the present one. */
            304: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    /** @description Of the content; send it back as If-None-Match. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["VALIDATION_FAILED.unlimited"];
            404: components["responses"]["NOT_FOUND.unlimited"];
            500: components["responses"]["INTERNAL.unlimited"];
            503: components["responses"]["NOT_READY.OVERLOADED.unlimited"];
        };
    };
}
