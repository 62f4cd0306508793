/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Keys made for these tests and used nowhere else. ED25519_RFC8463 is the one of RFC 8463 appendix A.
 */
#ifndef RINGPOST_TESTS_DKIM_KEY_TEXTS_H
#define RINGPOST_TESTS_DKIM_KEY_TEXTS_H

#define RSA1024                                                                                    \
    "-----BEGIN RSA PRIVATE KEY-----\n"                                                            \
    "MIICXgIBAAKBgQDb655CPNqFMMVRMaoI5ECNVNYpRnVbmRDgZZVhtuX9q5ibSWpX\n"                           \
    "xRJNVzvyjACIIql7GSnhGss6pSGdIUoqGA2ykLYCxWtGUza13BkmI+/4MY5QFOax\n"                           \
    "dGPMyG8nOib4JsA8M6KZHlhHhh9fis3BWaFpGngos5jOq7ZP/5q4mgfMNQIDAQAB\n"                           \
    "AoGBAKGuyj08bBN71bVp4+6BkQvXEVRrHqDnGcdAJ+EdDF3BKIMSKIK6ukfuGH6r\n"                           \
    "e0Ca6ys7RtTeVAebm+jfrpzf7kC6QHJYjNLsRkZAYlLgLFuCPRw3zxhizMVBjnPi\n"                           \
    "VSE4i3KFHtLAiO3vGWGsN2m+wPfZuZIDzv2Lmb0fcc/fuexJAkEA+ufa6mlloj6G\n"                           \
    "p3DQOIVxQ1O5SUqE9dsFzKV6fyuD8X5BA+6g+vY2CghfscG6jDcEXoEoo6fe8ToZ\n"                           \
    "f1Gkp7/xDwJBAOBitZBEDQo5gzbdYuxzcb0JPNwFVNUiErSSRZN1FfbmC/kWQNjn\n"                           \
    "jeinC+PAqh5HTU9dymGRUCjgNAeN4ycNZnsCQQDUspplX4XV/VVfOoZ5c74pih8n\n"                           \
    "n3GJjeujqaBnj/chUJtC/xceyHvVE3Y0FXvUA4vDpZBS9CtNqagVw5tmzZNHAkEA\n"                           \
    "060q/SLFbmzdFOf6x3cMyDkruaAp7DqNjN0kV7wv8VAJ4XyVxkmC/QSBWeTKV3AK\n"                           \
    "RaIEJtDP3w/K5Yl7zb59ewJACa6Iv2MqJ0HkIR4WdXBdORL71nVxA/Fv2djirMjr\n"                           \
    "S1Q5wwir1+k3kRdtt5pfqLjmf26oBxSWQC8JM3TzUcyypw==\n"                                           \
    "-----END RSA PRIVATE KEY-----\n"

#define RSA768                                                                                     \
    "-----BEGIN RSA PRIVATE KEY-----\n"                                                            \
    "MIIByQIBAAJhAJck8/cxry4lJd8v3nTFbdtZJAYF3SaK29aRiaIPuY39HY3mCFpn\n"                           \
    "C121QH+CqmrzcZebwdgFsO0GaC78pqYnP+Qv+IUwy8VYNPzZIo7fN9jGsk6brt9r\n"                           \
    "+PWlY/2G42VskQIDAQABAmBwL1l17UbdtWz60AkKG1CDMxLt9YREi2TJSpUh2RId\n"                           \
    "Nfat0EP69ekV0ObivhXH9JEDsc8arwEpR4cBVmG3N5Y/L6RnmrYuSjHYcFsJG40u\n"                           \
    "LUZg2itPLskMI6Cs4gQPh8ECMQDHar5FzFQMi34HvsFnl//DaondVKQFI0p1TqSf\n"                           \
    "uKnVcGBM52X3WUrbvAkt2aE0sLUCMQDCB8gUKQHPJtCXyyxNxcO+pJ21W7be4DpH\n"                           \
    "B4l7wcsHzuA8hH+W8+xq5Autn5IMoe0CMGmMlilbfSEmtA5laPjr+vPz8AS2SBpw\n"                           \
    "E3kDpx7jHwFZ+Z66272QBY9Id5NNHYZGAQIwDZ8wO8IZP2rRMCbyaE9fC65Q6B+V\n"                           \
    "OhZx4PS1gTu8vkKW2YjP0FA1o9d4vmq6fSqNAjBj5qIZaCrnWX1qMlgipyoJKALH\n"                           \
    "dxvqUfJdnwNNV7CEhPI+ZVBmaaP+rxKZjwIfw3k=\n"                                                   \
    "-----END RSA PRIVATE KEY-----\n"

#define ED25519_PKCS8                                                                              \
    "-----BEGIN PRIVATE KEY-----\n"                                                                \
    "MC4CAQAwBQYDK2VwBCIEIETmG6TbzPeKZqXxW8DC6Xi26GKg1M54NJsxG+Kxv/Bh\n"                           \
    "-----END PRIVATE KEY-----\n"

#define EC_KEY                                                                                     \
    "-----BEGIN EC PRIVATE KEY-----\n"                                                             \
    "MHcCAQEEIFZyaojOJObk2qDjFTG618rLr7SLlaKyvOKZE/dTFd20oAoGCCqGSM49\n"                           \
    "AwEHoUQDQgAEPG4YuWHOFGB7gBqqQTByNADVjdpDE7bQZ9TFF+uzGJhQn/PzUEhR\n"                           \
    "nd3wfuQWv1p5Ysk5SmsURTWKLesEGt3sOQ==\n"                                                       \
    "-----END EC PRIVATE KEY-----\n"

#define RSA2048_PKCS8                                                                              \
    "-----BEGIN PRIVATE KEY-----\n"                                                                \
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCJPWqQlrT8xxHf\n"                           \
    "zUVPLObIowEi8W+4XxlnY0eKK/UhBnn51JB6PU86gnEGNkBzvuKjQopGD0gtG7XT\n"                           \
    "nG4ByRuvEsaUlMDQi2AtJd37kjp36lZTDYfH3n3DjSLKz1r4hsV7fhzx0Z6ytmMi\n"                           \
    "Jkw7YfK+a5Jcc5HftM73zCxhuI1QwgVtNDmDkUMUDv4WeLqQM0d+R3d/eWpugrM7\n"                           \
    "5zy76LIi3z1y2fm+Yg65lGima2TURY0J8CLdy1h6NmxXJhv8V9S0gvCTibefflA6\n"                           \
    "DhddDEQ3HhNQtfrzWydOlyeyK944vlLpD7Fqq/QXONGr8GZuyTDUj4MQiEodBGjT\n"                           \
    "0717MlwfAgMBAAECggEALoIvNm+0RwOpdYgpaFMFpNHExVQ/saIcyFI3QMZzzGzW\n"                           \
    "8kjMa3iSfHgPGHVTM0ZppL0cgfCU26CL5noZN6axKIv62whsLWBGSBaQmzwrb07t\n"                           \
    "UTkBHkUypo4ST9ukbxuxGhAbfAG3P8YaY0zKQceITWrED2uk8ERkbUp2celqjoaq\n"                           \
    "3Kdsl/pqzuqiZ6zbWiTouDX3B20BzSByUo6zTyJX2dGMvbqi2b3CBPp+KUe8uC+s\n"                           \
    "dxMNgcczS5VFXy58beddnfmGOHGKdE93neofBFW4Kb3mmhFVd4kbo+yhwhLj245v\n"                           \
    "8k8GpUd31SIab24J+XymlAOtugMlr/lEo7wXycJI4QKBgQDAgmmVI4fAG0udVMi8\n"                           \
    "l5gZxM3GPkAHjfb7Dgwr0WCazEmp3WjFQfQAQes+/wpf9qc/Y6KIpIAz47GSECnY\n"                           \
    "6aTM10P/ImVIZNJOE3OWkLIhYdvcBVkDCgrMGMWKpi/QDzGAZntmB90mW6haM+VC\n"                           \
    "FWB60Fk+bybRkstOyYa10c+GfwKBgQC2gJf9ycDTzFQtWaO9LhqW5cgPGY+LgcEB\n"                           \
    "66WMs8LfCOD9E+blfWuBkb7O3IYGcKE9qMxmXKA8uK1hdL3rSyLMU0+qfYfIjmhk\n"                           \
    "6vZQMmT0LH86Y7+YaMS1otKdOpc3NYpE5a9vM4wmWRZqn0TSezWW/CVrT7vJBGrD\n"                           \
    "RJmJl1iaYQKBgAO0Pq3U8i67F7heQkKGtDGCvObcmcTLcX4hJhDNxYsU9THkhbiN\n"                           \
    "7VD387vRknSIPW2V0DHK4ICfF/KUhwmabUZXugI1ujcrYXSJIUc7X4IO7PkNzUmm\n"                           \
    "rtCAhYSGcBMTx8MNtcAf1JyBVPrvVrDv0lxql90ArIGJzomkjQgAknqnAoGAZQsr\n"                           \
    "m9LhVSKTFIzF0E8/X36XVmzjgez0LJkIjq9UXGIxF022kCbxp8pG54dHGTewvk+/\n"                           \
    "44izGwtwyz10jVqLSK9zs0RPMmZOPFmuyFYueNZOFsj1Ym/XQW2FyJGQ+XtGM8Er\n"                           \
    "cZkLpou6kovd8d9Pm2m9Wf3KTZCJf9VyYLCP2OECgYEAiJlYR6AaDtwWwPKjFvye\n"                           \
    "v/2dzWERuqruPy3DC41naQaDwfwbUGgJvEBf1rfPF3zG2QKqAXE/FthtAP9RlZ2a\n"                           \
    "Cj7NYr1h1Ow1FyWtN/OlQxFbUtYVli2t6VcPXSsyvjHPQv/2rw1OEM9MC0D+5dmT\n"                           \
    "67Kwda/2vQnY3BgQL278N1g=\n"                                                                   \
    "-----END PRIVATE KEY-----\n"

#define RSA2048_PKCS1                                                                              \
    "-----BEGIN RSA PRIVATE KEY-----\n"                                                            \
    "MIIEowIBAAKCAQEAiT1qkJa0/McR381FTyzmyKMBIvFvuF8ZZ2NHiiv1IQZ5+dSQ\n"                           \
    "ej1POoJxBjZAc77io0KKRg9ILRu105xuAckbrxLGlJTA0ItgLSXd+5I6d+pWUw2H\n"                           \
    "x959w40iys9a+IbFe34c8dGesrZjIiZMO2HyvmuSXHOR37TO98wsYbiNUMIFbTQ5\n"                           \
    "g5FDFA7+Fni6kDNHfkd3f3lqboKzO+c8u+iyIt89ctn5vmIOuZRopmtk1EWNCfAi\n"                           \
    "3ctYejZsVyYb/FfUtILwk4m3n35QOg4XXQxENx4TULX681snTpcnsiveOL5S6Q+x\n"                           \
    "aqv0FzjRq/Bmbskw1I+DEIhKHQRo09O9ezJcHwIDAQABAoIBAC6CLzZvtEcDqXWI\n"                           \
    "KWhTBaTRxMVUP7GiHMhSN0DGc8xs1vJIzGt4knx4Dxh1UzNGaaS9HIHwlNugi+Z6\n"                           \
    "GTemsSiL+tsIbC1gRkgWkJs8K29O7VE5AR5FMqaOEk/bpG8bsRoQG3wBtz/GGmNM\n"                           \
    "ykHHiE1qxA9rpPBEZG1KdnHpao6GqtynbJf6as7qomes21ok6Lg19wdtAc0gclKO\n"                           \
    "s08iV9nRjL26otm9wgT6filHvLgvrHcTDYHHM0uVRV8ufG3nXZ35hjhxinRPd53q\n"                           \
    "HwRVuCm95poRVXeJG6PsocIS49uOb/JPBqVHd9UiGm9uCfl8ppQDrboDJa/5RKO8\n"                           \
    "F8nCSOECgYEAwIJplSOHwBtLnVTIvJeYGcTNxj5AB432+w4MK9FgmsxJqd1oxUH0\n"                           \
    "AEHrPv8KX/anP2OiiKSAM+OxkhAp2OmkzNdD/yJlSGTSThNzlpCyIWHb3AVZAwoK\n"                           \
    "zBjFiqYv0A8xgGZ7ZgfdJluoWjPlQhVgetBZPm8m0ZLLTsmGtdHPhn8CgYEAtoCX\n"                           \
    "/cnA08xULVmjvS4aluXIDxmPi4HBAeuljLPC3wjg/RPm5X1rgZG+ztyGBnChPajM\n"                           \
    "ZlygPLitYXS960sizFNPqn2HyI5oZOr2UDJk9Cx/OmO/mGjEtaLSnTqXNzWKROWv\n"                           \
    "bzOMJlkWap9E0ns1lvwla0+7yQRqw0SZiZdYmmECgYADtD6t1PIuuxe4XkJChrQx\n"                           \
    "grzm3JnEy3F+ISYQzcWLFPUx5IW4je1Q9/O70ZJ0iD1tldAxyuCAnxfylIcJmm1G\n"                           \
    "V7oCNbo3K2F0iSFHO1+CDuz5Dc1Jpq7QgIWEhnATE8fDDbXAH9ScgVT671aw79Jc\n"                           \
    "apfdAKyBic6JpI0IAJJ6pwKBgGULK5vS4VUikxSMxdBPP19+l1Zs44Hs9CyZCI6v\n"                           \
    "VFxiMRdNtpAm8afKRueHRxk3sL5Pv+OIsxsLcMs9dI1ai0ivc7NETzJmTjxZrshW\n"                           \
    "LnjWThbI9WJv10FthciRkPl7RjPBK3GZC6aLupKL3fHfT5tpvVn9yk2QiX/VcmCw\n"                           \
    "j9jhAoGBAIiZWEegGg7cFsDyoxb8nr/9nc1hEbqq7j8twwuNZ2kGg8H8G1BoCbxA\n"                           \
    "X9a3zxd8xtkCqgFxPxbYbQD/UZWdmgo+zWK9YdTsNRclrTfzpUMRW1LWFZYtrelX\n"                           \
    "D10rMr4xz0L/9q8NThDPTAtA/uXZk+uysHWv9r0J2NwYEC9u/DdY\n"                                       \
    "-----END RSA PRIVATE KEY-----\n"

#define RSA1024_PUBLIC                                                                             \
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDb655CPNqFMMVRMaoI5ECNVNYpRnVbmRDgZZVhtuX9q5ibSWpXxRJNVzvyjACIIql7GSnhGss6pSGdIUoqGA2ykLYCxWtGUza13BkmI+/4MY5QFOaxdGPMyG8nOib4JsA8M6KZHlhHhh9fis3BWaFpGngos5jOq7ZP/5q4mgfMNQIDAQAB"
#define RSA2048_PUBLIC                                                                             \
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAiT1qkJa0/McR381FTyzmyKMBIvFvuF8ZZ2NHiiv1IQZ5+dSQej1POoJxBjZAc77io0KKRg9ILRu105xuAckbrxLGlJTA0ItgLSXd+5I6d+pWUw2Hx959w40iys9a+IbFe34c8dGesrZjIiZMO2HyvmuSXHOR37TO98wsYbiNUMIFbTQ5g5FDFA7+Fni6kDNHfkd3f3lqboKzO+c8u+iyIt89ctn5vmIOuZRopmtk1EWNCfAi3ctYejZsVyYb/FfUtILwk4m3n35QOg4XXQxENx4TULX681snTpcnsiveOL5S6Q+xaqv0FzjRq/Bmbskw1I+DEIhKHQRo09O9ezJcHwIDAQAB"
#define ED25519_PUBLIC "zasn4NeSGbHZC6xyOLCei/3qQLmo/KFVWpd2ZIdVJAA="
#define ED25519_RFC8463 "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="
#define ED25519_RFC8463_PUBLIC "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

#endif
