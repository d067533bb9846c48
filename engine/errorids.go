package engine

const (
	fromSettings = "The configuration is read when a script is loaded: at the start, and at every edit. A wrong one never replaces the one that runs."
	inService    = "set it at the service, at its input or among the input's credentials; starling check says where the file is wrong"
	noModule     = "Starling has no module_properties: addresses and the tag are in the script, and the settings cloud and override_base_* change them."
	noAddress    = "Microsoft has published no such address for the cloud that is set."
	notHere      = "does not occur here"
	nameFiles    = "name both files, with --job_config_loc and --collector_config_loc"
	lineBefore   = "the place stands in front of the error; what is wrong there stands in it"

	// Messages of the configuration that its code asks for.
	notAFile       = `"<f>" is not a file`
	nameTheFile    = "name the file with --config; without it $CONFIG_FILE, config/config.yaml and config.yaml are looked for"
	wrongStructure = "The configuration structure is not correct"
)

// ErrorIDs are all that Devo documents for the Office 365 message trace collector, with those of its
// sibling collectors for pulls, and what they are here. docs/errors.md is made of them.
func ErrorIDs() []ErrorID {
	return []ErrorID{
		{configuration, 0, notAFile, "There is no file of that name, or it is a folder.", nameTheFile},
		{configuration, 0, wrongStructure, "globals, outputs or inputs are missing, empty, or something else than keys with values.", "the error says what to add"},
		{configuration, 2, "", "The file of the job is a folder.", nameFiles},
		{configuration, 3, "", "The file of the job does not exist.", nameFiles},
		{configuration, 4, "", "The collector's file is a folder.", nameFiles},
		{configuration, 5, "", "The collector's file does not exist.", nameFiles},
		{configuration, 6, "Required configuration data is missing", "A key that must be set is not: a name, an id, services, the type of an output, or what the Collector Server writes.", "add the key that stands in front of the error"},
		{configuration, 7, "", "The file is not YAML: indentation, brackets, colons or quotes.", lineBefore},
		{configuration, 8, "", "The file is YAML, but no configuration can be read from it: a key twice, two documents, a tag, a text that is not UTF-8.", lineBefore},
		{configuration, 9, "", "The file is not JSON, or a key is in it twice. Also for the collector's file of the Collector Server.", lineBefore},
		{configuration, 10, "", "As 7, in the file of the job.", lineBefore},
		{configuration, 11, "", "As 8, in the file of the job.", lineBefore},
		{configuration, 12, "", "As 9, in the file of the job.", lineBefore},
		{configuration, 13, "", "globals.name has other symbols than letters, digits, - and _. Dots, spaces and # become _ with a warning.", "choose another name"},
		{configuration, 14, "", "The type of an output does not exist.", "write one of those that the error lists; the nearest is named"},
		{initVariables, 0, "module_properties section does not exist on the configuration file or is empty. Contact Devo.", noModule, notHere},
		{initVariables, 0, "credentials section does not exist on the configuration file or is empty", "An input needs no section credentials: tenant_id, client_id and the secret may stand at the input or the service as well. What is missing is named by its own error, 2 or 4.", notHere},
		{initVariables, 1, "module_properties section is not a valid <dict> object. Contact Devo.", noModule, notHere},
		{initVariables, 1, "credentials section is not a valid <dict> object", "credentials is something else than keys with values. " + fromSettings, "indent the keys below credentials"},
		{initVariables, 2, "base_auth_url doesn't exist on the configuration file or is empty", noModule, notHere},
		{initVariables, 2, "base_resource_url doesn't exist on the configuration file or is empty", noAddress, "set override_base_resource_url, or another cloud"},
		{initVariables, 2, "tenant_id doesn't exist on the configuration file or is empty", "tenant_id is missing. " + fromSettings, inService},
		{initVariables, 3, "base_auth_url must be an string", "override_base_auth_url is no URL.", "write a URL that begins with https://"},
		{initVariables, 3, "base_resource_url must be an string", "override_base_resource_url is no URL.", "write a URL that begins with https://"},
		{initVariables, 3, "tenant_id must be an string", "tenant_id is no text, or an empty one.", "write the directory (tenant) id, in quotes"},
		{initVariables, 4, "client_id doesn't exist on the configuration file or is empty", "client_id is missing. " + fromSettings, inService},
		{initVariables, 4, "client_secret doesn't exist on the configuration file or is empty", "There is neither client_secret nor another way to sign in. " + fromSettings, inService},
		{initVariables, 5, "client_id must be an string", "client_id is no text, or an empty one.", "write the application (client) id, in quotes"},
		{initVariables, 5, "client_secret must be an string", "client_secret is no text, or an empty one.", "write the secret's value, in quotes, or ${NAME} of an environment variable"},
		{initVariables, 6, "base_tag doesn't exist on the configuration file or is empty", noModule, notHere},
		{initVariables, 7, "base_tag must be an string", noModule, notHere},
		{initVariables, 8, "base_url doesn't exist on the configuration file or is empty", noAddress, "set override_base_url, or another cloud"},
		{initVariables, 9, "base_url must be an string", "override_base_url is no URL.", "write a URL that begins with https://"},
		{initVariables, 10, "time_delay_in_seconds doesn't exist on the configuration file or is empty", noModule, notHere},
		{initVariables, 11, "time_delay_in_seconds must be an string", noModule, notHere},
		{initVariables, 12, "requests_timeout_in_seconds doesn't exist on the configuration file or is empty", "Without it, it is 120.", notHere},
		{initVariables, 13, "requests_timeout_in_seconds is not a float instance", "requests_timeout_in_seconds is no number of seconds, or less than 1.", "write a number of seconds, without quotes"},
		{initVariables, 14, "requests_retries_before_error_in_units doesn't exist on the configuration file or is empty", noModule, notHere},
		{initVariables, 15, "requests_retries_before_error_in_units is not an int instance", noModule, notHere},
		{initVariables, 16, "requests_wait_time_between_retries_in_seconds doesn't exist on the configuration file or is empty", noModule, notHere},
		{initVariables, 17, "requests_wait_time_between_retries_in_seconds is not an int instance", noModule, notHere},
		{initVariables, 18, "Optional setting: <reset_persistence_auth> not of expected type: str", "reset_persistence_auth is no date.", "write a date such as 2026-05-01"},
		{initVariables, 19, "Optional setting: <override_time_delay_in_seconds> not of expected type: int", "override_delay_in_seconds is no number.", "write a number of seconds, without quotes"},
		{initVariables, 20, "Optional setting: <override_time_delay_in_seconds> is out of range (1 to 172800)", "override_delay_in_seconds is out of its range. The original says 90000, which its documents do not.", "write 90000, which is 25 hours, or leave it out"},
		{setup, 100, "Authentication failed: [...]", "The sign-in does not accept the application: its answer is 401.", "the error ends with what to do; most often client_secret is wrong or has expired"},
		{setup, 101, "Unexpected status code when fetching Office365ExchangeMessageTrace JWT: [...]", "The sign-in answers with another error: the tenant or the application does not exist, is disabled, or lies in another cloud; or Microsoft has trouble.", "the error ends with what to do"},
		{setup, 102, "Error occurred while accessing the access_token: [...]", "The sign-in answers, but with nothing that is a token: a proxy or a portal may stand between.", "look at the address in the error, at override_base_auth_url and starling.network.proxy"},
		{pullFailed, 300, "Request error", "The API cannot be reached, or breaks its answer off.", "look at the network, the proxy and starling.network; the pull is tried again by itself"},
		{pullFailed, 301, "The access token provided has been expired. New token will be created in the next poll", "The API does not accept the token: 401. A new one was tried at once.", "the error ends with what to do: permission, cloud, or Microsoft's service principal"},
		{pullFailed, 302, "Forbidden", "The application may not do that: 403.", "the error ends with the permission that is missing"},
		{pullFailed, 303, "Not found", "There is no such API at that address: 404.", "check cloud and override_base_url; the old reporting service is being retired"},
		{pullFailed, 304, "Server error", "The API has trouble of its own: 500 and above.", "nothing; the pull is tried again by itself"},
		{pullFailed, 305, "Unexpected status code", "The API refuses the request with another status.", "read its answer, which is in the error"},
		{pullFailed, 306, "After the retries still getting the too many requests error.", "The API asks to wait for longer than the pull may last: 429.", "nothing, or fewer requests: other programs may use the same quota"},
	}
}
