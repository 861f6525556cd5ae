/* SPDX-License-Identifier: Apache-2.0
 *
 * Redirects: `redirect:` of a route to a fixed place, and `redirect: https` of a
 * listener to the same URL by TLS.
 */
#pragma once

#include "proxy/filter.h"

/* Its config is a struct redirect_settings. */
extern const struct origin_ops origin_redirect;

struct https_redirect {
    uint16_t port; /* of the listener with TLS; 443 is left out */
};

/* Its config is a struct https_redirect. 308: method and body stay. */
extern const struct origin_ops origin_https_redirect;
